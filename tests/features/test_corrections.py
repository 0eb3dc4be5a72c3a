"""Corrected values through ingestion, views and the leakage check: what was corrected later was not known before."""

from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from features.world import DAY, SPINE_SQL, T0, Shop, at, definition, many_orders, view
from ingestion import feed

from mlops_assets.contract.known_at import effective
from mlops_assets.features.definition import VectorDefinition, View
from mlops_assets.features.leakage import Leakage, check_leakage
from mlops_assets.features.refresh import refresh_view
from mlops_assets.features.training_set import build_training_set
from mlops_assets.ingestion.external import read_in_place
from mlops_assets.ingestion.ingest import ingest
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.windows import Window

COLUMNS = {
    "order_id": "BIGINT",
    "customer": "VARCHAR",
    "ordered_at": "TIMESTAMPTZ",
    "amount": "DOUBLE",
    "returned": "BOOLEAN",
    "closed_at": "TIMESTAMPTZ",
    "changed_at": "TIMESTAMPTZ",
}
WITH_ROW = ["order_id", "customer", "ordered_at", "amount", "changed_at"]
KNOWN_AT = {
    "row": "ordered_at",
    "columns": {"returned": "closed_at", "closed_at": "closed_at"},
    "known_with_row": WITH_ROW,
}
CORRECTED, CORRECTED_ON = 7, 18.0  # order 7 of day 2.33 is corrected on day 18
# Written as if an order never changed: stamped when it was placed.
CARELESS = """
    select customer, ordered_at as event_timestamp, ordered_at as known_at, amount as last_amount from orders
    qualify row_number() over (partition by customer, ordered_at order by order_id) = 1
"""
# Every version of an order, from the time at which it was known.
CAREFUL = """
    select customer, ordered_at as event_timestamp,
           case when revision = 0 then ordered_at else recorded_at end as known_at, amount as last_amount
    from orders
"""


def spec(publish: str, **table: Any) -> IngestionSpec:
    declared = {"description": "One order.", "key": ["order_id"], "columns": COLUMNS, "known_at": KNOWN_AT}
    return IngestionSpec.model_validate(
        {
            "name": "shop",
            "description": "A shop.",
            "source": "ingestion.feed:whole",
            "tables": {"orders": {**declared, "publish": publish, **table}},
        }
    )


def deliveries() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the orders as they were first told, and as they were told after the correction."""
    first = [{**row, "changed_at": row["ordered_at"]} for row in many_orders()]
    second = [dict(row) for row in first]
    second[CORRECTED] |= {"amount": 1000.0, "changed_at": at(CORRECTED_ON)}
    return first, second


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def load(lake: str, declared: IngestionSpec, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Load the orders when nothing was corrected yet, and again after the correction."""
    for rows, now in zip(deliveries(), (T0, at(CORRECTED_ON)), strict=True):
        table = pa.Table.from_pylist(rows)
        monkeypatch.setattr(feed, "deliver", lambda _table, _start, _end, told=table: (told,))
        ingest(declared, ["orders"], windows=[], lake=lake, folder=folder, now=now)


def search(lake: str, declared: IngestionSpec, wanted: VectorDefinition) -> Leakage:
    for one in wanted.views:
        refresh_view(one.spec, one.sql, lake=lake)
    built = build_training_set(wanted, lake=lake, as_of=at(30), held=(), window_days=None)
    known_at = {"shop/orders": effective(declared.tables["orders"])}
    return check_leakage(built, wanted, lake=lake, known_at=known_at, samples=1000, seed=0)


def last_amount(sql: str, reference: str) -> View:
    return view(sql, name="last", feature="last_amount", sources={"orders": reference})


def spine_of(reference: str, *views: View) -> VectorDefinition:
    made = definition(*views)
    return replace(made, spine=made.spine.model_copy(update={"sources": {"orders": reference}}))


def test_a_corrected_value_that_was_not_known_yet_is_caught_in_the_newest_versions(
    lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declared = spec("history")
    load(lake, declared, monkeypatch, tmp_path / "work")

    found = search(lake, declared, spine_of("shop/orders@current", last_amount(CARELESS, "shop/orders@current")))

    by_feature = {one.feature: one for one in found.findings}
    assert set(by_feature) == {"last_amount", "amount"}  # the corrected order's own row, and what came after it
    assert by_feature["amount"].rows == 1
    assert by_feature["amount"].largest_error == 1000.0 - CORRECTED


def test_every_version_from_its_arrival_on_leaks_nothing(
    lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declared = spec("history")
    load(lake, declared, monkeypatch, tmp_path / "work")
    first_versions = SPINE_SQL.rstrip() + " where revision = 0"
    wanted = definition(last_amount(CAREFUL, "shop/orders"), spine_sql=first_versions)

    found = search(lake, declared, wanted)

    assert (found.findings, found.checked_rows) == ((), 55)  # of 60 orders five were never closed
    seen = build_training_set(wanted, lake=lake, as_of=at(30), held=(), window_days=None).table.to_pylist()
    assert not any(row["last_amount"] == 1000.0 for row in seen if row["prediction_time"] < at(CORRECTED_ON))


def test_an_upserted_value_is_caught_because_nobody_can_say_what_was_there_before(
    lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declared = spec("upsert", newest_by="changed_at")
    load(lake, declared, monkeypatch, tmp_path / "work")

    found = search(lake, declared, definition(last_amount(CARELESS, "shop/orders")))

    (finding,) = found.findings
    assert (finding.feature, finding.rows) == ("the row of the spine", 1)  # order 7 was not known as it stands


def test_by_the_declared_times_alone_the_corrected_value_would_pass(
    lake: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    declared = spec("history")
    load(lake, declared, monkeypatch, tmp_path / "work")
    wanted = spine_of("shop/orders@current", last_amount(CARELESS, "shop/orders@current"))
    for one in wanted.views:
        refresh_view(one.spec, one.sql, lake=lake)
    built = build_training_set(wanted, lake=lake, as_of=at(30), held=(), window_days=None)
    known_at = {"shop/orders": declared.tables["orders"].known_at}

    with_row = {
        "shop/orders": known_at["shop/orders"].model_copy(
            update={"known_with_row": [*WITH_ROW, "revision", "recorded_at", "is_deleted"]}
        )
    }
    assert check_leakage(built, wanted, lake=lake, known_at=with_row, samples=1000, seed=0).passed


# Views that are refreshed by lookback, over tables that are read in place

ROLLING = """
    select customer, ordered_at as event_timestamp, ordered_at as known_at,
           sum(amount) over (partition by customer order by ordered_at
                             range between interval 3 day preceding and current row) as spent
    from orders qualify row_number() over (partition by customer, ordered_at order by order_id) = 1
"""


def in_place(uri: str, format: str) -> IngestionSpec:  # noqa: A002
    declared = {"description": "One order.", "key": ["order_id"], "columns": COLUMNS, "known_at": KNOWN_AT}
    return IngestionSpec.model_validate(
        {
            "name": "shop",
            "description": "A shop.",
            "source": {"type": "external", "tables": {"orders": {"uri": uri, "format": format}}},
            "partitions": {"every": "day", "column": "ordered_at", "start": date(2024, 3, 1)},
            "tables": {"orders": declared},
        }
    )


def days(first: int, last: int) -> list[Window]:
    def midnight(number: int) -> datetime:
        return T0 + number * DAY

    return [Window(f"{midnight(n):%Y-%m-%d}", midnight(n), midnight(n + 1)) for n in range(first, last)]


@pytest.mark.parametrize("format", ["delta", "parquet"])
def test_windows_published_since_reach_a_view_by_lookback_as_they_do_in_full(tmp_path: Path, format: str) -> None:  # noqa: A002
    import pyarrow.parquet as pq

    lake, uri = str(tmp_path / "lake"), str(tmp_path / "theirs")
    table = pa.Table.from_pylist(deliveries()[0])
    if format == "delta":
        write_deltalake(uri, table)
    else:
        pq.write_table(table, uri)  # one file: more windows of it are shown each time
    wanted = view(ROLLING, name="spent", feature="spent", lookback_days=3)
    times = {"shop/orders": "ordered_at"}

    modes = []
    for first, last in ((0, 15), (15, 18), (18, 20)):
        read_in_place(in_place(uri, format), "orders", uri, windows=days(first, last), lake=lake, load_id="run", now=T0)
        step = refresh_view(wanted.spec, wanted.sql, lake=lake, time_columns=times)
        whole = Shop(str(tmp_path / f"whole{last}"))
        until = at(last)
        whole.publish(table.filter(pa.array([row["ordered_at"] < until for row in table.to_pylist()])))
        (expected,) = whole.refresh(wanted)
        assert step.data_version == expected.data_version
        modes.append(step.scope.mode)
    assert modes == ["full", "incremental", "incremental"]


def test_a_parquet_file_that_was_rewritten_ends_in_a_full_refresh(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    lake, uri = str(tmp_path / "lake"), str(tmp_path / "theirs")
    wanted = view(ROLLING, name="spent", feature="spent", lookback_days=3)
    times = {"shop/orders": "ordered_at"}
    refreshed = []
    for rows in deliveries():
        pq.write_table(pa.Table.from_pylist(rows), uri)
        read_in_place(in_place(uri, "parquet"), "orders", uri, windows=days(0, 20), lake=lake, load_id="run", now=T0)
        refreshed.append(refresh_view(wanted.spec, wanted.sql, lake=lake, time_columns=times))

    assert [one.scope.mode for one in refreshed] == ["full", "full"]
    assert "is gone" in refreshed[1].scope.reason
    assert refreshed[0].data_version != refreshed[1].data_version
