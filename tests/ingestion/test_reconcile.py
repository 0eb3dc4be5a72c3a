"""The full comparison: which windows it reads, and what it asks the source for."""

from datetime import UTC, datetime

import pytest
from ingestion import feed
from ingestion.ledger import FILE, Ledger, ledger_spec, row
from ingestion.world import day, order, orders, shop_spec

from mlops_assets.ingestion.reconcile import known_windows, reconcile
from mlops_assets.lake.tables import read

NOW = datetime(2024, 3, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, "")


def test_only_loaded_windows_are_read_each_span_without_gaps_once(shop, monkeypatch):
    asked = []
    rows = orders(*(order(n, n) for n in range(1, 10)))

    def between(_table, start, end):
        asked.append((start.day, end.day))
        return [rows.filter([start <= at < end for at in rows["placed_at"].to_pylist()])]

    monkeypatch.setattr(feed, "deliver", between)
    for windows in ([day(1), day(2)], [day(5)]):
        shop.ingest(windows)
    asked.clear()
    published = reconcile(shop_spec(), lake=shop.lake, folder=shop.folder, now=NOW)
    assert asked == [(1, 3), (5, 6)]
    assert [one.window for one in published] == [day(1).key, day(2).key, day(5).key]
    assert read(shop.orders)["order_id"].to_pylist() == [1, 2, 5]


def test_it_looks_back_as_far_as_declared(shop, deliver):
    deliver()
    shop.ingest([day(1), day(2), day(3)])
    spec = shop_spec().model_copy(
        update={"reconcile": shop_spec().reconcile.model_copy(update={"look_back_days": 7.5})}
    )
    assert [one.key for one in known_windows(spec, shop.lake, NOW)] == [day(2).key, day(3).key]
    assert [one.key for one in known_windows(shop_spec(), shop.lake, datetime(2024, 3, 2, tzinfo=UTC))] == [day(1).key]


@pytest.mark.parametrize("key", [["id"], []])
def test_what_a_cursor_has_passed_by_is_found_and_added_once(tmp_path, key):
    one = Ledger(tmp_path, ledger_spec("grows", "append", key=key))
    one.load(row(1, 1), row(5, 50))
    late = [row(1, 1), row(2, 20), row(5, 50), row(6, 60)]  # row 2 came after the cursor had passed its time
    one.load(*late)
    assert one.published == [row(1, 1), row(5, 50), row(6, 60)]
    (found,) = reconcile(one.spec, lake=one.lake, folder=tmp_path / "work", now=NOW)
    assert (found.added, found.vanished) == (1, 0)
    assert one.published == late
    one.load(*late, row(7, 70))
    assert one.published == [*late, row(7, 70)]
