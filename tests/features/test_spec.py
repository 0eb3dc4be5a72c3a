"""What a person may write about views, spines and requests, and what counts as the same definition."""

from typing import Any

import pytest
from features.world import definition, view
from pydantic import ValidationError

from mlops_assets.features.spec import (
    FeatureViewSpec,
    RequestSpec,
    SpineSpec,
    SqlFileMissing,
    definition_hash,
    read_sql,
)

SPINE: dict[str, Any] = {
    "sources": {"orders": "shop/orders"},
    "sql": "select 1",
    "keys": ["order_id"],
    "label_timeout_days": 3,
}
VIEW: dict[str, Any] = view().spec.model_dump()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entity": []}, "at least 1 item"),
        ({"features": {}}, "at least 1 item"),
        ({"sources": {}}, "at least 1 item"),
        ({"sources": {"orders": "orders"}}, "String should match pattern"),
        ({"name": "Returns"}, "String should match pattern|name"),
        ({"ttl_days": 0}, "greater than 0"),
        ({"schedule": "every day"}, "schedule"),
        ({"ttl": 3}, "Extra inputs are not permitted"),
        ({"entity": ["customer", "return_share"]}, "entity and features: found return_share twice or reserved"),
        ({"features": {"known_at": {"description": "x"}}}, "found known_at twice or reserved"),
        ({"features": {"label": {"description": "x"}}}, "found label twice or reserved"),
        ({"features": {"Share": {"description": "x"}}}, "String should match pattern"),
        ({"features": {"share": {"description": ""}}}, "at least 1 character"),
    ],
)
def test_a_wrong_view_is_refused_where_it_is_wrong(change, message):
    with pytest.raises(ValidationError, match=message):
        FeatureViewSpec.model_validate(VIEW | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": []}, "at least 1 item"),
        ({"keys": ["a", "a"]}, "keys: found a twice or reserved"),
        ({"keys": ["label"]}, "keys: found label twice or reserved"),
        ({"label_timeout_days": 0}, "greater than 0"),
    ],
)
def test_a_wrong_spine_is_refused_where_it_is_wrong(change, message):
    with pytest.raises(ValidationError, match=message):
        SpineSpec.model_validate(SPINE | change)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"file": "made.py"}, "found no inputs for made.py"),
        ({"inputs": ["a"], "file": "made.sql"}, "String should match pattern"),
        ({"inputs": ["a", "a"]}, "inputs: found a twice or reserved"),
        ({"inputs": ["prediction_time"]}, "inputs: found prediction_time twice or reserved"),
    ],
)
def test_a_wrong_request_is_refused_where_it_is_wrong(request_, message):
    with pytest.raises(ValidationError, match=message):
        RequestSpec.model_validate(request_)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"description": "Said better."},
        {"owners": ["team:other"]},
        {"schedule": "0 3 * * *"},
        {"features": {"return_share": {"description": "Said better.", "exogenous": True}}},
    ],
)
def test_words_for_people_do_not_change_a_definition(change):
    changed = FeatureViewSpec.model_validate(VIEW | change)

    assert definition_hash(changed, "select 1") == definition_hash(view().spec, "select 1\n")


@pytest.mark.parametrize(
    "change",
    [
        {"entity": ["shop"]},
        {"sources": {"orders": "shop/other"}},
        {"ttl_days": 2},
        {"features": {"other": {"description": "x"}}},
    ],
)
def test_what_decides_the_rows_changes_a_definition(change):
    changed = FeatureViewSpec.model_validate(VIEW | change)

    assert definition_hash(changed, "select 1") != definition_hash(view().spec, "select 1")


def test_the_query_changes_a_definition():
    assert definition_hash(view().spec, "select 1") != definition_hash(view().spec, "select 2")


def test_how_long_labels_take_does_not_change_what_a_spine_is():
    longer = SpineSpec.model_validate(SPINE | {"label_timeout_days": 9})
    other = SpineSpec.model_validate(SPINE | {"keys": ["customer"]})
    spine = SpineSpec.model_validate(SPINE)

    assert definition_hash(spine, "x") == definition_hash(longer, "x") != definition_hash(other, "x")


def test_sql_is_the_text_or_a_file_beside_the_yaml(tmp_path):
    (tmp_path / "view.sql").write_text("select 1 -- from the file\n")

    assert read_sql("view.sql", base=tmp_path) == "select 1 -- from the file"
    assert read_sql(" select x from y.sql ", base=tmp_path) == "select x from y.sql"
    with pytest.raises(SqlFileMissing, match=r"absent\.sql"):
        read_sql("absent.sql", base=tmp_path)


def test_the_spine_must_give_what_the_model_uses_each_column_once():
    assert definition(view(), view(name="again"), keys=("order_id", "customer")).spine_columns == [
        "order_id",
        "customer",
        "amount",
        "prediction_time",
        "label",
        "label_known_at",
    ]
