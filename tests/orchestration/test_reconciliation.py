"""The comparison with the source, the release from quarantine, late rows and replays, as runs of Dagster."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from shop.deployment import Shop, error_of

from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import read, snapshot

ORDERS = dg.AssetKey(["raw", "shop", "orders"])


def rewrite(shop: Shop, *, table: dict[str, Any] | None = None, **attributes: Any) -> None:
    """Change the shop's Ingestion file and load it again."""
    file = shop.defs / "shop" / "defs.yaml"
    text = yaml.safe_load(file.read_text())
    text["attributes"] |= attributes
    text["attributes"]["tables"]["orders"] |= table or {}
    file.write_text(yaml.safe_dump(text))
    shop.reload()


def change(orders: Path, order_id: int, **values: Any) -> None:
    table = pq.read_table(orders).to_pandas()
    for column, value in values.items():
        table.loc[table["order_id"] == order_id, column] = value
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), orders)


def remove(orders: Path, order_id: int) -> None:
    table = pq.read_table(orders)
    pq.write_table(table.filter(pa.array([one != order_id for one in table["order_id"].to_pylist()])), orders)


def materializations(shop: Shop, key: dg.AssetKey = ORDERS) -> list[tuple[str | None, dict[str, Any], dict[str, str]]]:
    """Return the partition, metadata and tags of each materialisation, oldest first."""
    records = shop.replay.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=key), limit=100).records
    found = [record.asset_materialization for record in reversed(records)]
    return [
        (one.partition, {name: value.value for name, value in one.metadata.items()}, dict(one.tags))
        for one in found
        if one
    ]


def versions(shop: Shop, order_id: int) -> list[tuple[float, int, bool]]:
    found = [one for one in read(f"{shop.lake}/raw/shop/orders").to_pylist() if one["order_id"] == order_id]
    return [
        (one["amount"], one["revision"], one["is_deleted"]) for one in sorted(found, key=lambda one: one["revision"])
    ]


def test_what_came_late_is_published_and_only_changed_windows_are_materialised(shop: Shop, orders: Path) -> None:
    shop.replay.clock.set(datetime(2024, 2, 4, tzinfo=UTC))
    shop.ingest(0, 2)
    before = {window: tags["dagster/data_version"] for window, _, tags in materializations(shop)}
    change(orders, 7, amount=99.5)
    remove(orders, 1_000_003)
    change(orders, 3_000_000, amount=1.0)  # of a week that nobody has loaded

    result = shop.replay.run("shop_reconcile")

    metadata = shop_metadata(result)
    assert (metadata["compared"], metadata["rows_added"]) == (3, 0)
    assert (metadata["rows_changed"], metadata["rows_vanished"]) == (1, 1)
    late = materializations(shop)[3:]
    assert {window for window, _, _ in late} == {shop.key(0), shop.key(1)}
    assert all(tags["dagster/data_version"] != before[window] for window, _, tags in late)
    amounts = {one["order_id"]: one["amount"] for one in read(f"{shop.lake}/raw/shop/orders").to_pylist()}
    assert amounts[7] == 99.5
    assert 1_000_003 not in amounts
    assert len(amounts) == 3 * 420 - 1


def test_a_comparison_without_difference_commits_nothing(shop: Shop) -> None:
    shop.replay.clock.set(datetime(2024, 2, 4, tzinfo=UTC))
    shop.ingest(0, 2)
    version = snapshot(f"{shop.lake}/raw/shop/orders").version
    metadata = shop_metadata(shop.replay.run("shop_reconcile"))
    assert (metadata["compared"], metadata["rows_added"], metadata["rows_changed"], metadata["rows_vanished"]) == (
        3,
        0,
        0,
        0,
    )
    assert snapshot(f"{shop.lake}/raw/shop/orders").version == version
    assert len(materializations(shop)) == 3


def test_the_comparison_goes_as_far_back_as_declared(shop: Shop, orders: Path) -> None:
    rewrite(shop, reconcile={"look_back_days": 7})
    shop.replay.clock.set(datetime(2024, 1, 28, tzinfo=UTC))
    shop.ingest(0, 2)
    change(orders, 7, amount=99.5)
    assert shop_metadata(shop.replay.run("shop_reconcile"))["compared"] == 1


def test_a_window_that_the_comparison_finds_blocked_stays_and_is_told(shop: Shop, orders: Path) -> None:
    shop.replay.clock.set(datetime(2024, 2, 4, tzinfo=UTC))
    shop.ingest(0, 1)
    change(orders, 7, customer=None)
    change(orders, 1_000_003, amount=55.5)
    failed = shop.replay.run("shop_reconcile", may_fail=True)
    assert not failed.success
    assert f"window {shop.key(0)}: blocked by customer_present" in error_of(failed)
    amounts = {one["order_id"]: one["amount"] for one in read(f"{shop.lake}/raw/shop/orders").to_pylist()}
    assert amounts[1_000_003] == 55.5


@pytest.mark.parametrize("again", ["one by one", "as a range"])
def test_a_replay_of_windows_with_history_adds_corrections_alone(shop: Shop, orders: Path, again: str) -> None:
    rewrite(shop, table={"publish": "history"})
    shop.replay.clock.set(datetime(2024, 2, 4, tzinfo=UTC))
    shop.ingest(0, 2)
    content = {window: metadata["content"] for window, metadata, _ in materializations(shop)}
    change(orders, 1_000_003, amount=55.5)
    remove(orders, 1_000_004)
    if again == "as a range":
        shop.ingest(0, 2)
    else:
        for week in (2, 0, 1):
            shop.replay.run("shop_ingest", partition=shop.key(week))
    after = {window: metadata for window, metadata, _ in materializations(shop)[3:]}
    assert [after[shop.key(week)]["content"] == content[shop.key(week)] for week in (0, 1, 2)] == [True, False, True]
    assert (after[shop.key(1)]["rows_changed"], after[shop.key(1)]["rows_vanished"]) == (1, 1)
    assert [one[1:] for one in versions(shop, 1_000_003)] == [(0, False), (1, False)]
    assert [one[1:] for one in versions(shop, 1_000_004)] == [(0, False), (1, True)]
    assert read(f"{shop.lake}/raw/shop/orders").num_rows == 3 * 420 + 2


def test_the_same_window_again_keeps_its_data_version(shop: Shop) -> None:
    shop.replay.run("shop_ingest", partition=shop.key(0))
    shop.replay.run("shop_ingest", partition=shop.key(0))
    (_, first, once), (_, second, twice) = materializations(shop)
    assert once["dagster/data_version"] == twice["dagster/data_version"]
    assert first["delta_version"] == second["delta_version"]
    assert first["load_id"] != second["load_id"]


def test_new_columns_are_an_observation_and_an_event(shop: Shop, orders: Path) -> None:
    table = pq.read_table(orders)
    pq.write_table(table.append_column("coupon", pa.array(["x"] * table.num_rows)), orders)

    shop.ingest(0, 1)

    records = shop.replay.instance.fetch_observations(ORDERS, limit=10).records
    observed = [record.asset_observation for record in records]
    assert {(one.partition, str(one.metadata["schema_changes"].value)) for one in observed if one} == {
        (shop.key(0), "{'coupon': 'string'}")
    }
    state = open_state(shop.lake)
    (event,) = state.keys("schema_changes/shop/orders/")
    stored = state.read(event)
    assert stored is not None
    assert (stored[0]["window"], stored[0]["columns"]) == (shop.key(0), {"coupon": "string"})


def test_rows_are_released_by_a_run(shop: Shop, orders: Path) -> None:
    change(orders, 7, amount=-5.0)
    change(orders, 1_000_007, amount=-5.0)
    shop.ingest(0, 1)
    rules = [{"name": "amount_positive", "sql": "amount > -10", "severity": "quarantine"}]
    rewrite(shop, table={"rules": rules})
    config = {"ops": {"shop_release": {"config": {"table": "orders", "window": shop.key(1)}}}}

    job = shop.replay.definitions.resolve_job_def("shop_requarantine")
    result = job.execute_in_process(instance=shop.replay.instance, run_config=config)

    assert result.success
    assert read(f"{shop.lake}/quarantine/shop/orders")["order_id"].to_pylist() == [7]
    assert 1_000_007 in read(f"{shop.lake}/raw/shop/orders")["order_id"].to_pylist()
    window, metadata, tags = materializations(shop)[-1]
    assert (window, metadata["rows_released"], metadata["dagster/row_count"]) == (shop.key(1), 1, 420)
    assert tags["dagster/data_version"]


@pytest.mark.parametrize(("lag_days", "weeks"), [(0, 1), (7, 2), (8, 3), (100, 4)])
def test_the_schedule_asks_for_the_windows_that_late_rows_may_reach(shop: Shop, lag_days: float, weeks: int) -> None:
    rewrite(shop, lag_days=lag_days)
    schedule = shop.replay.definitions.resolve_schedule_def("shop_ingest_schedule")
    at = datetime(2024, 2, 4, 6, tzinfo=UTC)  # four weeks are over
    repository = shop.replay.definitions.get_repository_def()
    with dg.build_schedule_context(
        instance=shop.replay.instance, scheduled_execution_time=at, repository_def=repository
    ) as context:
        (request,) = schedule.evaluate_tick(context).run_requests or []
    shop.replay.run("shop_ingest", partition=request.partition_key, tags=request.tags)
    assert sorted({str(window) for window, _, _ in materializations(shop)}) == [
        shop.key(week) for week in range(4 - weeks, 4)
    ]


def shop_metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    for event in result.get_asset_materialization_events():
        found = event.step_materialization_data.materialization
        if found.asset_key == dg.AssetKey(["reconciliation", "shop"]):
            return {name: value.value for name, value in found.metadata.items()}
    raise AssertionError
