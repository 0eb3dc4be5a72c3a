"""An external source in Dagster: a table that another asset writes, read in place through the whole loop."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from shop.deployment import Shop, error_of, value

from mlops_assets.lake.tables import read

ORDERS = dg.AssetKey(["raw", "shop", "orders"])


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return str(tmp_path / "warehouse" / "orders")


def point_at(shop: Shop, table: dict[str, str]) -> None:
    """Let the shop's file read its orders in place."""
    file = shop.defs / "shop" / "defs.yaml"
    source = json.dumps({"type": "external", "tables": {"orders": table}})
    file.write_text(file.read_text().replace("source: shop.feed:shop", f"source: {source}"))
    shop.reload()


def add_dbt(shop: Shop, uri: str, orders: Path, *, metadata: dict[str, str]) -> None:
    """Add what a dbt project's assets look like from here: they write a table elsewhere, and may say where."""

    @dg.asset(key=["dbt", "orders"])
    def dbt_orders() -> dg.MaterializeResult:
        delta(uri, orders)
        return dg.MaterializeResult(metadata=metadata)

    build = dg.define_asset_job("dbt_build", selection=[dbt_orders])
    theirs = dg.Definitions(assets=[dbt_orders], jobs=[build])
    shop.replay.definitions = dg.Definitions.merge(shop.replay.definitions, theirs)


def delta(uri: str, orders: Path) -> None:
    write_deltalake(uri, pq.read_table(orders).append_column("day", week_of(orders)), partition_by=["day"])


def parquet(uri: str, orders: Path) -> None:
    frame = pq.read_table(orders).to_pandas()
    for week, rows in frame.groupby(pd.Grouper(key="ordered_at", freq="W-SUN", closed="left", label="left")):
        folder = Path(uri, f"week={week.date()}")
        folder.mkdir(parents=True)
        rows.to_parquet(folder / "part.parquet", index=False)


def week_of(orders: Path) -> pa.Array:
    frame = pq.read_table(orders).to_pandas()
    return pa.array(frame["ordered_at"].dt.strftime("%Y-%m"))


@pytest.mark.parametrize("write", [delta, parquet])
def test_features_training_set_and_leakage_check_run_on_a_table_that_is_read_in_place(
    shop: Shop, uri: str, orders: Path, write: Callable[[str, Path], None]
) -> None:
    shop.prepare()
    copied = shop.materialize("training_set")
    point_at(shop, {"uri": uri, "format": write.__name__})
    place = shop.home / "lake"
    place.rename(shop.home / "copied")  # the same shop, with nothing ingested
    write(uri, orders)
    shop.prepare()

    built = shop.materialize("training_set")

    assert built.success, error_of(built)
    (check,) = [one for one in built.get_asset_check_evaluations() if one.check_name == "no_leakage"]
    assert (check.passed, check.metadata["checked_rows"].value > 0) == (True, True)
    assert value(built, "training_set", "sha256") == value(copied, "training_set", "sha256")
    assert not list(Path(shop.lake, "raw").rglob("*.parquet"))
    manifest = json.loads(Path(str(value(built, "training_set", "dagster/uri")), "manifest.json").read_text())
    assert manifest["sources"] == {"shop/orders": 1}
    assert manifest["views"]["customer"]["sources"] == {"shop/orders": 1}


def test_a_leak_in_a_query_over_a_table_read_in_place_is_caught(shop: Shop, uri: str, orders: Path) -> None:
    file = shop.defs / "customer" / "defs.yaml"
    file.write_text(file.read_text().replace("avg(amount) over", "avg(returned::int) over"))
    point_at(shop, {"uri": uri})
    delta(uri, orders)
    shop.prepare()

    built = shop.materialize("training_set")

    assert not built.success
    (check,) = [one for one in built.get_asset_check_evaluations() if one.check_name == "no_leakage"]
    assert (check.passed, "mean_amount" in check.description) == (False, True)


def test_the_place_comes_from_the_asset_that_writes_the_table(shop: Shop, uri: str, orders: Path) -> None:
    point_at(shop, {"asset": "dbt/orders"})
    add_dbt(shop, uri, orders, metadata={"dagster/uri": uri})
    graph = shop.replay.definitions.resolve_asset_graph()
    assert graph.get(ORDERS).parent_keys == {dg.AssetKey(["dbt", "orders"])}

    early = shop.replay.run("shop_ingest", partition=shop.key(0), may_fail=True)
    assert "raw/shop/orders: found no materialisation; required `dagster/uri`" in error_of(early)
    shop.replay.run("dbt_build")
    shop.replay.run("shop_ingest", partition=shop.key(0))

    (record,) = shop.replay.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=ORDERS), limit=5).records
    metadata = record.asset_materialization.metadata
    assert (record.partition_key, metadata["dagster/row_count"].value) == (shop.key(0), 420)
    assert (metadata["dagster/uri"].value, metadata["pointer"].value) == (uri, 1)


def test_an_asset_that_does_not_say_where_its_table_is_is_named(shop: Shop, uri: str, orders: Path) -> None:
    point_at(shop, {"asset": "dbt/orders"})
    add_dbt(shop, uri, orders, metadata={})
    shop.replay.run("dbt_build")

    failed = shop.replay.run("shop_ingest", partition=shop.key(0), may_fail=True)

    assert "found a materialisation without `dagster/uri`" in error_of(failed)
    assert "write `uri:` in the Ingestion file" in error_of(failed)


def test_broken_rows_are_set_aside_and_shown_as_checks(shop: Shop, uri: str, orders: Path) -> None:
    table = pq.read_table(orders).to_pandas()
    table.loc[table["order_id"] == 1_000_005, "amount"] = -1.0
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), orders)
    point_at(shop, {"uri": uri})
    delta(uri, orders)

    shop.ingest(0, 2)

    assert read(f"{shop.lake}/quarantine/shop/orders")["order_id"].to_pylist() == [1_000_005]
    found = statuses(shop, "amount_positive")
    assert [found[shop.key(week)] for week in (0, 1, 2)] == [True, False, True]


def test_a_doubled_key_blocks_and_stops_whoever_reads_the_window(shop: Shop, uri: str, orders: Path) -> None:
    point_at(shop, {"uri": uri})
    delta(uri, orders)
    shop.ingest(0, 1)
    twin = pq.read_table(orders).slice(0, 1)
    write_deltalake(uri, twin.append_column("day", pa.array(["twin"])), mode="append")

    blocked = shop.replay.run("shop_ingest", partition=shop.key(2), may_fail=True)
    downstream = shop.replay.run("returns_score", partition=shop.key(0), may_fail=True)

    assert not blocked.success
    assert f"raw/shop/orders, window {shop.key(0)}: blocked by unique_key" in error_of(blocked)
    assert "a verdict that blocks it (unique_key)" in error_of(downstream)


def test_windows_that_were_judged_again_show_their_checks(shop: Shop, uri: str, orders: Path) -> None:
    point_at(shop, {"uri": uri})
    delta(uri, orders)
    shop.ingest(0, 1)
    late = pq.read_table(orders).slice(0, 1).to_pandas().assign(order_id=999, amount=-3.0, day="late")
    write_deltalake(uri, pa.Table.from_pandas(late, preserve_index=False), mode="append")

    shop.replay.run("shop_ingest", partition=shop.key(2))

    assert statuses(shop, "amount_positive")[shop.key(0)] is False
    assert read(f"{shop.lake}/quarantine/shop/orders")["order_id"].to_pylist() == [999]


def statuses(shop: Shop, check: str) -> dict[str | None, bool]:
    """Return whether a check passed, by window."""
    records = shop.replay.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(ORDERS, check), limit=100
    )
    found = [record.event.dagster_event.event_specific_data for record in records if record.event]
    return {one.partition: one.passed for one in reversed(found) if isinstance(one, dg.AssetCheckEvaluation)}


def test_an_unpartitioned_table_is_read_whole(shop: Shop, tmp_path: Path) -> None:
    place = tmp_path / "warehouse" / "shops.parquet"
    place.parent.mkdir()
    pd.DataFrame({"shop": ["a", "b"], "city": ["Oslo", "Rome"]}).to_parquet(place)
    folder = shop.defs / "shops"
    folder.mkdir()
    (folder / "defs.yaml").write_text(f"""
type: mlops_assets.components.Ingestion
attributes:
  name: places
  description: Where the shops are.
  source: {{type: external, tables: {{shops: {{uri: {place}, format: parquet}}}}}}
  tables:
    shops:
      description: One shop.
      key: [shop]
      columns: {{shop: VARCHAR, city: VARCHAR}}
""")
    shop.reload()

    shop.replay.run("places_ingest")

    records = shop.replay.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(["raw", "places", "shops"])), limit=5
    ).records
    assert [record.asset_materialization.metadata["dagster/row_count"].value for record in records] == [2]
    specs = {spec.key: spec for spec in shop.replay.definitions.resolve_all_asset_specs()}
    assert specs[dg.AssetKey(["raw", "places", "shops"])].kinds == {"parquet"}
