"""Maintenance beside lineage: whatever a training set or a view was made from can be read again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from features.world import SCHEMA, Shop, definition, many_orders, view

from mlops_assets.contract.pointers import Pointer, write_pointer
from mlops_assets.features.compute import view_uri
from mlops_assets.features.live_versions import UnreadableManifest, live_versions
from mlops_assets.features.training_set import Manifest, load, save
from mlops_assets.features.vectors import open_views
from mlops_assets.lake.engine import connect
from mlops_assets.lake.maintenance import Policy, Upkeep, maintain
from mlops_assets.lake.tables import overwrite, read, snapshot
from mlops_assets.lake.uris import join

ORDERS = "raw/shop/orders"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.of(tmp_path, many_orders(20))


def publish(shop: Shop, count: int) -> None:
    shop.publish(pa.Table.from_pylist(many_orders(count), SCHEMA))


def upkeep(shop: Shop, retention: timedelta = timedelta(0)) -> dict[str, Upkeep]:
    keep = live_versions(shop.lake, since=datetime.now(UTC) - retention)
    return {one.table: one for one in maintain(shop.lake, keep, Policy(retention))}


def inputs_of(manifest: Manifest) -> Iterator[tuple[str, int]]:
    yield from ((f"raw/{table}", version) for table, version in manifest.sources.items())
    for name, read_view in manifest.views.items():
        yield f"features/{name}", read_view.version
        yield from ((f"raw/{table}", version) for table, version in read_view.sources.items())


def test_every_version_behind_every_training_set_reads_row_for_row_after_maintenance(shop):
    expected: dict[tuple[str, int], pa.Table] = {}
    folders = []
    for count in (20, 30, 40):
        publish(shop, count)
        shop.refresh(view())
        publish(shop, count + 3)  # the spine reads a newer version than the view
        saved = save(shop.build(definition(view())), shop.lake, "returns")
        folders.append(saved.uri)
        for table, version in inputs_of(load(saved.uri).manifest):
            expected[table, version] = read(join(shop.lake, table), version=version)
        publish(shop, count + 5)  # and nobody reads this one
    assert len(expected) == 3 * 3

    done = upkeep(shop)

    for (table, version), rows in expected.items():
        assert read(join(shop.lake, table), version=version).equals(rows)
    assert len(done[ORDERS].removed) == 3  # the first, and those nobody read but the newest
    for folder in folders:
        load(folder)


def test_the_sources_of_the_current_view_stay_without_any_training_set(shop):
    (refreshed,) = shop.refresh(view())
    version = refreshed.source_versions["shop/orders"]
    before = read(join(shop.lake, ORDERS), version=version)
    publish(shop, 30)
    publish(shop, 40)

    removed = upkeep(shop)[ORDERS].removed

    assert read(join(shop.lake, ORDERS), version=version).equals(before)
    assert len(removed) == 1


def test_the_view_that_a_training_set_is_being_built_from_keeps_its_sources(shop):
    (first,) = shop.refresh(view())
    publish(shop, 30)
    (second,) = shop.refresh(view())

    now = datetime.now(UTC)
    live = live_versions(shop.lake, since=now - timedelta(days=7))
    assert live[ORDERS] == {one.source_versions["shop/orders"] for one in (first, second)}
    assert live["features/returns"] >= {first.version, second.version}
    assert live_versions(shop.lake, since=now)[ORDERS] == {second.source_versions["shop/orders"]}


def test_a_view_is_not_stale_after_maintenance(shop):
    shop.refresh(view())
    publish(shop, 30)
    (refreshed,) = shop.refresh(view())
    upkeep(shop)
    assert snapshot(view_uri(shop.lake, "returns")).version > refreshed.version
    with connect() as con:
        (opened,) = open_views(con, shop.lake, definition(view()))
    assert opened.sources == refreshed.source_versions


def test_newest_rows_alone_are_a_reference_to_their_table(shop):
    shop.refresh(view())
    saved = save(shop.build(definition(view())), shop.lake, "returns")
    manifest = Path(saved.uri, "manifest.json")
    manifest.write_text(manifest.read_text().replace('"shop/orders"', '"shop/orders@current"'))
    assert ORDERS in live_versions(shop.lake, since=datetime.now(UTC))


def pointer_to(uri: str, version: int) -> Pointer:
    return Pointer(uri, "delta", {"id": "BIGINT"}, delta_version=version)


def test_a_table_of_the_lake_that_another_raw_table_points_at_keeps_what_counts(shop):
    uri = join(shop.lake, "raw", "team", "stock")
    versions = [overwrite(uri, pa.table({"id": [n]})) for n in range(5)]
    for number, version in enumerate(versions[:4], start=1):
        place = f"file://{uri}" if number == 2 else uri
        assert write_pointer(shop.lake, "own/stock", number, pointer_to(place, version))
    write_pointer(shop.lake, "own/else", 1, pointer_to(f"{shop.lake}-of-others/raw/team/stock", versions[0]))
    shop.refresh(view())
    saved = save(shop.build(definition(view())), shop.lake, "returns")
    manifest = Path(saved.uri, "manifest.json")
    manifest.write_text(manifest.read_text().replace('"sources":{', '"sources":{"own/stock":2,', 1))

    assert live_versions(shop.lake, since=datetime.now(UTC))["raw/team/stock"] == {versions[1], versions[3]}
    upkeep(shop)
    assert [read(uri, version=versions[n])["id"].to_pylist() for n in (1, 3)] == [[1], [3]]


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"sources": {}, "views": {"v": {}}}', '{"sources": 1, "views": {}}']
)
def test_nothing_is_removed_while_one_training_set_cannot_say_what_it_needs(shop, content):
    shop.refresh(view())
    saved = save(shop.build(definition(view())), shop.lake, "returns")
    Path(saved.uri, "manifest.json").write_text(content)
    with pytest.raises(UnreadableManifest, match=r"manifest\.json"):
        upkeep(shop)


def test_an_empty_lake_refers_to_nothing(tmp_path):
    assert live_versions(str(tmp_path), since=datetime.now(UTC)) == {}
