"""What a file may not say, since rows would be lost or doubled without a word."""

import pytest
from ingestion.sources.world import COLUMNS, spec_of
from pydantic import ValidationError

NEW = {"incremental": {"cursor": "placedAt", "start_param": "since"}}


def rest(**table):
    return {"type": "rest_api", "base_url": "https://shop.example", "tables": {"orders": {"path": "orders", **table}}}


def sql(**table):
    return {"type": "sql_database", "url": "SHOP", "tables": {"orders": table}}


def files(**table):
    table = {"glob": "*.csv", "format": "csv", **table}
    return {"type": "filesystem", "url": "data", "tables": {"orders": table}}


CURSOR = {"cursor": "placed_at"}
FINE = [
    (rest(), {}),
    (rest(**NEW), {"publish": "append"}),
    (rest(**NEW), {"publish": "history", "lag_days": 1}),
    (rest(**NEW), {"partitioned": True}),
    (sql(), {"partitioned": True}),
    (sql(**CURSOR), {"publish": "upsert", "newest_by": "placed_at", "lag_days": 2}),
    (sql(cursor="order_id"), {"publish": "append", "key": []}),
    (files(), {"partitioned": True}),
    (files(glob="%Y/*.csv"), {"partitioned": True}),
    (files(only_new=True), {"publish": "append", "lag_days": 1}),
]
WRONG = [
    (rest(), {"partitioned": True}, r"orders\.incremental: .* must ask by 'placed_at', .* found 'nothing'"),
    (
        rest(incremental={"cursor": "updated_at", "start_param": "since"}),
        {"partitioned": True, "columns": {**COLUMNS, "updated_at": "TIMESTAMPTZ"}},
        "found 'updated_at'",
    ),
    (rest(**NEW), {}, "publish: only new rows are read"),
    (sql(**CURSOR), {}, "publish: only new rows are read"),
    (files(only_new=True), {}, "publish: only new rows are read"),
    (sql(**CURSOR), {"partitioned": True}, r"orders\.cursor: a window says which rows are read"),
    (files(only_new=True), {"partitioned": True}, r"orders\.only_new: a window says which rows are read"),
    (files(glob="%Y/*.csv"), {}, r"orders\.glob: `%` stands for the time of a window"),
    (sql(cursor="updated_at"), {"publish": "append"}, "'updated_at' must be a declared column"),
    (
        rest(incremental={"cursor": "meta.at", "start_param": "s"}),
        {"publish": "append"},
        "'meta.at' must be a declared",
    ),
    (sql(cursor="order_id"), {"publish": "append", "lag_days": 1}, "is a BIGINT; required a date or timestamp"),
    (sql(**CURSOR), {"publish": "append", "lag_days": 1, "key": []}, r"orders\.key: .* read rows again"),
    (sql(**CURSOR), {"publish": "append", "reconcile": {"look_back_days": 9}, "key": []}, "read rows again; without"),
    (files(only_new=True), {"publish": "append", "lag_days": 1, "key": []}, "would be added again"),
    (rest(paginator={"type": "offset"}), {}, "paginator offset needs limit"),
    (rest(paginator={"type": "cursor", "cursor_path": "next"}), {}, "paginator cursor needs cursor_param"),
    (rest(paginator={"type": "json_link", "limit": 3}), {}, "limit belong to another type"),
    (rest(params={"api_key": "x"}), {}, "api_key must be under `auth`"),
]


@pytest.mark.parametrize(("source", "keys"), FINE)
def test_what_fits_together_is_accepted(source, keys):
    assert spec_of(source, **keys).source.type == source["type"]


@pytest.mark.parametrize(("source", "keys", "message"), WRONG, ids=[case[2][:40] for case in WRONG])
def test_what_would_lose_or_double_rows_is_refused(source, keys, message):
    with pytest.raises(ValidationError, match=message):
        spec_of(source, **keys)
