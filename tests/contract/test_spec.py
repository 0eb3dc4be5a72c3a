"""What a person may write, and what the message says when it is wrong."""

import subprocess
import sys

import pytest
from ingestion.world import COLUMNS, shop_spec
from pydantic import TypeAdapter, ValidationError

from mlops_assets.contract.checks import check_names
from mlops_assets.contract.names import Name
from mlops_assets.contract.spec import KnownAtSpec
from mlops_assets.ingestion.spec import IngestionSpec


@pytest.mark.parametrize("name", ["flight_delay", "a1", "a_1_b"])
def test_names_that_are_allowed(name):
    assert TypeAdapter(Name).validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["A", "1a", "a__b", "a_", "_a", "a-b", "", "raw", "quarantine", "features", "online_features"]
)
def test_names_that_are_not(name):
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"key": ["id"]}, r"key: \['id'\] must be among the declared columns: order_id"),
        ({"columns": {**COLUMNS, "x": "text"}}, "type 'text' must match"),
        ({"columns": {**COLUMNS, "window": "DATE"}}, "column 'window' is added by the quarantine"),
        ({"null_share": [{"column": "nope", "max": 0.1}]}, "null_share: .'nope'."),
        ({"null_share": [{"column": "city", "max": 10}]}, "less than or equal to 1"),
        ({"known_at": {"row": "placed_at", "columns": {"nope": "placed_at"}}}, "known_at.columns: .'nope'."),
        (
            {"known_at": {"row": "placed_at", "columns": {"city": "placed_at"}}},
            "key columns .'order_id'. must be under",
        ),
        ({"rules": [{"name": "unique_key", "sql": "true"}]}, "rule 'unique_key' is built in"),
        ({"rules": [{"name": "null_share_x", "sql": "true"}]}, "rule 'null_share_x' is built in"),
        (
            {"rules": [{"name": "a", "sql": "true"}, {"name": "a", "sql": "false"}]},
            "rules .'a'. are there more than once",
        ),
        ({"rules": [{"name": "a", "sql": "true", "severity": "fatal"}]}, "'warn', 'quarantine' or 'block'"),
        ({"row_count": {"min": 5, "max": 4}}, "max 4 must be at least min 5"),
        ({"time_column": "order_id"}, "must be the partition column 'placed_at'"),
        ({"columns": {**COLUMNS, "placed_at": "VARCHAR"}}, "must be a declared date or timestamp; found VARCHAR"),
        ({"typo": 1}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_in_a_table(table, message):
    with pytest.raises(ValidationError, match=message):
        shop_spec(**table)


def test_a_whole_table_needs_a_time_column_to_be_fresh():
    with pytest.raises(ValidationError, match="freshness_days needs time_column"):
        shop_spec(partitioned=False, freshness_days=1)


def test_a_column_is_known_once():
    with pytest.raises(ValidationError, match="under both"):
        KnownAtSpec(row="a", columns={"b": "c"}, known_with_row=["b"])


@pytest.mark.parametrize("schedule", ["0 6 * * 1", "*/5 * * * *", "@daily"])
def test_schedules_are_cron(schedule):
    assert IngestionSpec.model_validate({**shop_spec().model_dump(), "schedule": schedule}).schedule == schedule


@pytest.mark.parametrize("schedule", ["daily", "0 6 * *", ""])
def test_other_schedules_are_refused(schedule):
    with pytest.raises(ValidationError, match="five cron fields"):
        IngestionSpec.model_validate({**shop_spec().model_dump(), "schedule": schedule})


def test_types_may_be_written_small_and_a_partitioned_table_is_dated():
    table = shop_spec(columns={**COLUMNS, "paid": "decimal(10, 2)"}).tables["orders"]
    assert table.columns["paid"] == "DECIMAL(10, 2)"
    assert table.time_column == "placed_at"


def test_every_key_of_a_file_says_what_it_is_for():
    def undescribed(schema: dict) -> list[str]:
        models = [schema, *schema.get("$defs", {}).values()]
        return [
            name for model in models for name, key in model.get("properties", {}).items() if "description" not in key
        ]

    assert undescribed(IngestionSpec.model_json_schema()) == []


def test_check_names_need_no_data_and_follow_the_contract():
    bare = shop_spec(partitioned=False, key=[]).tables["orders"]
    assert check_names(bare) == [("schema_unchanged", "warn")]
    full = shop_spec(
        rules=[{"name": "cheap", "sql": "amount < 9", "severity": "block"}],
        accepted_values=[{"column": "city", "values": ["Oslo"]}],
        ranges=[{"column": "amount", "min": 0, "severity": "warn"}],
        python={"schema": "shop:schema"},
        checks=[{"name": "usual", "sql": "select true", "severity": "block"}],
        row_count={"min": 1, "severity": "block"},
        null_share=[{"column": "city", "max": 0.5}],
        freshness_days=1,
        new_columns="refuse",
    ).tables["orders"]
    assert check_names(full) == [
        ("cheap", "block"),
        ("accepted_city", "quarantine"),
        ("range_amount", "warn"),
        ("in_window", "quarantine"),
        ("unique_key", "quarantine"),
        ("pandera", "quarantine"),
        ("usual", "block"),
        ("row_count", "block"),
        ("null_share_city", "warn"),
        ("freshness", "warn"),
        ("no_corrections", "warn"),
        ("schema_unchanged", "block"),
    ]


def test_a_table_that_is_there_for_changes_does_not_report_them():
    history = shop_spec(publish="history").tables["orders"]
    upsert = shop_spec(publish="upsert", newest_by="placed_at", partitioned=False).tables["orders"]
    assert [("no_corrections", "warn") in check_names(table) for table in (history, upsert)] == [False, False]


def test_loading_specs_loads_nothing_heavy():
    heavy = ["duckdb", "pyarrow", "deltalake", "dlt", "numpy", "pandas"]
    code = f"import sys, mlops_assets.contract.checks; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
