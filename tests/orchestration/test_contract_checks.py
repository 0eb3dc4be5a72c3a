"""The contract as a person meets it in the UI: what each check demands, how many rows broke it, and which."""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from shop.deployment import Shop

ORDERS = dg.AssetKey(["raw", "shop", "orders"])


def make_negative(path: Path, *order_ids: int) -> None:
    table = pq.read_table(path).to_pandas()
    table.loc[table["order_id"].isin(order_ids), "amount"] = -1.0
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)


def evaluation(run: Any, check: str) -> dg.AssetCheckEvaluation:
    (found,) = [one for one in run.get_asset_check_evaluations() if (one.check_name, one.asset_key) == (check, ORDERS)]
    return found


def test_a_check_says_what_it_demands_and_who_answers_for_it(shop: Shop) -> None:
    graph = shop.replay.definitions.resolve_asset_graph()
    specs = {key.name: graph.get_check_spec(key) for key in graph.asset_check_keys if key.asset_key == ORDERS}
    assert set(specs) >= {"amount_positive", "customer_present", "unique_key", "in_window", "schema_unchanged"}
    assert (
        specs["amount_positive"].description == "`amount > 0` is true in every row. Rows that break it are set aside."
    )
    assert specs["customer_present"].blocking
    assert {"contract_version": 1, "owners": "team:data"}.items() <= specs["amount_positive"].metadata.items()


def test_a_failed_check_shows_how_many_rows_broke_it_and_some_of_them(shop: Shop) -> None:
    make_negative(shop.orders, 5, 8)

    done = shop.replay.run("shop_ingest", partition=shop.key(0))

    failed, kept = evaluation(done, "amount_positive"), evaluation(done, "unique_key")
    assert (failed.passed, kept.passed) == (False, True)
    assert (failed.metadata["failed_rows"].value, failed.metadata["rows"].value) == (2, 420)
    sample = str(failed.metadata["sample"].value).splitlines()
    assert sample[0].startswith("| order_id |")
    assert [line.split(" | ")[0] for line in sample[2:]] == ["| 5", "| 8"]
    assert "sample" not in kept.metadata
    assert failed.severity == dg.AssetCheckSeverity.WARN


def test_a_range_names_the_windows_that_failed(shop: Shop) -> None:
    make_negative(shop.orders, 1_000_005)

    shop.ingest(0, 2)

    records = shop.replay.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(ORDERS, "amount_positive"), limit=10
    )
    found = [one.event.dagster_event.event_specific_data for one in records if one.event and one.event.dagster_event]
    windows = [one.metadata["windows"].value for one in found if "windows" in one.metadata]
    assert len(windows) == 1
    assert f"| {shop.key(1)} | 1 | 420 |" in windows[0]
    assert shop.key(0) not in windows[0]


def test_the_quality_page_is_a_click_away_also_from_a_blocked_window(shop: Shop) -> None:
    page = f"{shop.lake}/quality/shop/orders.html"
    shop.ingest(0, 1)
    records = shop.replay.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=ORDERS), limit=10).records
    shown = {one.partition_key: one.asset_materialization.metadata["quality_page"].value for one in records}
    assert shown == dict.fromkeys((shop.key(0), shop.key(1)), page)

    table = pq.read_table(shop.orders).to_pandas()
    table.loc[table["order_id"] == 7, "customer"] = None
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), shop.orders)
    blocked = shop.replay.run("shop_ingest", partition=shop.key(0), may_fail=True)

    (failure,) = [one.step_failure_data for one in blocked.all_events if one.is_step_failure]
    assert failure.user_failure_data.metadata["quality_page_orders"].value == page
    assert f"{shop.key(0)}: 0" not in Path(page).read_text()
    assert "(blocked)" in Path(page).read_text()
