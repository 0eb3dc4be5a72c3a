"""Raw tables in Dagster: what a window's run shows, stops, and leaves alone."""

import json
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shop.deployment import Shop, error_of
from shop.world import Week, week_start, write_orders

from mlops_assets.lake.tables import read

ORDERS = dg.AssetKey(["raw", "shop", "orders"])


def rows(shop: Shop, kind: str = "raw") -> pa.Table:
    return read(f"{shop.lake}/{kind}/shop/orders")


def statuses(shop: Shop, check: str) -> dict[str | None, bool]:
    """Return whether a check passed, by window."""
    records = shop.replay.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(ORDERS, check), limit=100
    )
    found = [record.event.dagster_event.event_specific_data for record in records if record.event]
    return {one.partition: one.passed for one in reversed(found) if isinstance(one, dg.AssetCheckEvaluation)}


def test_the_same_window_twice_gives_the_same_rows_and_rows_gone_at_the_source_are_gone_here(
    shop: Shop, orders: Path
) -> None:
    shop.ingest(0, 1)
    before = rows(shop)
    shop.replay.run("shop_ingest", partition=shop.key(0))
    assert rows(shop).sort_by("order_id").equals(before.sort_by("order_id"))

    table = pq.read_table(orders)
    pq.write_table(table.filter(pa.array([i % 2 == 0 for i in range(table.num_rows)])), orders)
    shop.replay.run("shop_ingest", partition=shop.key(0))

    left = {row for row in rows(shop)["order_id"].to_pylist() if row < 1_000_000}
    assert left == set(range(0, 420, 2))


@pytest.mark.parametrize("area", ["raw", "quarantine"])
def test_a_table_or_its_quarantine_can_be_materialised_alone(shop: Shop, area: str) -> None:
    key = dg.AssetKey([area, "shop", "orders"])

    done = shop.replay.run("shop_ingest", partition=shop.key(0), only=[key])

    assert [event.asset_key for event in done.get_asset_materialization_events()] == [key]
    assert rows(shop).num_rows == 420


def test_metadata_of_a_window_has_rows_place_load_and_schema_changes(shop: Shop) -> None:
    shop.ingest(0, 2)

    records = shop.replay.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=ORDERS), limit=10).records
    found = {record.partition_key: record.asset_materialization.metadata for record in records}
    assert set(found) == {shop.key(0), shop.key(1), shop.key(2)}
    for metadata in found.values():
        assert metadata["dagster/row_count"].value == 420
        assert metadata["dagster/uri"].value == f"{shop.lake}/raw/shop/orders"
        assert metadata["load_id"].value
        assert metadata["schema_changes"].value == {}


def test_a_range_run_reports_each_check_for_each_window(shop: Shop, orders: Path) -> None:
    table = pq.read_table(orders).to_pandas()
    table.loc[table["order_id"] == 1_000_005, "amount"] = -1.0
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), orders)

    shop.ingest(0, 2)

    found = statuses(shop, "amount_positive")
    assert {window: found[window] for window in (shop.key(0), shop.key(1), shop.key(2))} == {
        shop.key(0): True,
        shop.key(1): False,
        shop.key(2): True,
    }
    assert rows(shop, "quarantine")["failed_rules"].to_pylist() == [["amount_positive"]]
    assert 1_000_005 not in rows(shop)["order_id"].to_pylist()


def test_a_block_rule_leaves_the_table_and_stops_whoever_reads_the_window(shop: Shop, orders: Path) -> None:
    shop.ingest(0, 0)
    before = rows(shop)
    table = pq.read_table(orders).to_pandas()
    table.loc[table["order_id"] == 7, "customer"] = None
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), orders)

    blocked = shop.replay.run("shop_ingest", partition=shop.key(0), may_fail=True)
    downstream = shop.replay.run("returns_score", partition=shop.key(0), may_fail=True)

    assert not blocked.success
    assert "customer_present" in error_of(blocked)
    assert rows(shop).equals(before)
    assert statuses(shop, "customer_present")[shop.key(0)] is False
    assert "a verdict that blocks it (customer_present)" in error_of(downstream)


def test_a_column_that_changes_type_is_named_and_nothing_is_lost(shop: Shop, orders: Path) -> None:
    shop.ingest(0, 0)
    before = rows(shop)
    table = pq.read_table(orders)
    words = pa.array([f"{value} EUR" for value in table["amount"].to_pylist()])
    pq.write_table(table.set_column(table.column_names.index("amount"), "amount", words), orders)

    failed = shop.replay.run("shop_ingest", partition=shop.key(0), may_fail=True)

    assert not failed.success
    assert "amount" in error_of(failed)
    assert rows(shop).equals(before)


def test_an_empty_window_is_published_empty(shop: Shop, orders: Path) -> None:
    write_orders(orders, [Week(), Week(rows=0), Week()])

    shop.ingest(0, 2)

    assert rows(shop).num_rows == 840
    verdict = json.loads(Path(shop.lake, "verdicts", "shop", "orders", f"{shop.key(1)}.json").read_text())
    assert verdict["rows"] == 0
    assert week_start(1).date().isoformat() == verdict["window"]
