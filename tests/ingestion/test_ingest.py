"""From source to published table: what is in the lake after each run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ingestion import feed
from ingestion.world import Shop, day, order, orders, shop_spec

from mlops_assets.contract.scan import RuleDoesNotRun
from mlops_assets.contract.types import SchemaChanged
from mlops_assets.contract.verdict import (
    NothingPublished,
    WindowNotPublished,
    last_published,
    read_verdict,
    require_published,
)
from mlops_assets.ingestion.ingest import WindowsMismatch
from mlops_assets.lake.identity import identity
from mlops_assets.lake.tables import exists, read, snapshot

ROOT = Path(__file__).parents[2]
CHEAP: dict[str, Any] = {"rules": [{"name": "cheap", "sql": "amount < 5", "severity": "block"}]}


def ids(uri: str) -> list[int]:
    return read(uri)["order_id"].to_pylist()


def test_clean_rows_are_published_and_broken_ones_set_aside(shop, deliver):
    deliver(orders(order(2, 1), order(1, 1), order(1, 1, 2.0), order(3, 1, city=None)))
    spec = shop_spec(rules=[{"name": "city_present", "sql": "city is not null"}])
    (published,) = shop.ingest(spec=spec)
    assert read(shop.orders).equals(orders(order(1, 1), order(2, 1)))
    assert read(shop.quarantine).select(["order_id", "failed_rules", "window"]).to_pylist() == [
        {"order_id": 1, "failed_rules": ["unique_key"], "window": "2024-03-01"},
        {"order_id": 3, "failed_rules": ["city_present"], "window": "2024-03-01"},
    ]
    assert (published.rows, published.quarantined_rows, published.blocked) == (2, 2, False)
    assert (published.uri, published.quarantine_uri) == (shop.orders, shop.quarantine)
    assert published.version == snapshot(shop.orders).version
    assert list(shop.folder.iterdir()) == []


def test_the_same_window_twice_gives_the_same_rows(shop, deliver):
    deliver(orders(*(order(n, 1) for n in range(20)), order(3, 1, 9.0)))
    shop.ingest()
    once, aside = identity(read(shop.orders)), read(shop.quarantine).drop_columns("load_id")
    (again,) = shop.ingest()
    assert identity(read(shop.orders)) == once
    assert read(shop.quarantine).drop_columns("load_id").equals(aside)
    assert all(found.passed for found in again.findings if found.rule != "unique_key")


def test_rows_gone_at_the_source_are_gone_here_and_other_windows_stay(shop, deliver):
    deliver(orders(order(1, 1), order(2, 1), order(3, 2), order(3, 2, 2.0)))
    shop.ingest([day(1), day(2)])
    deliver(orders(order(2, 1)))
    shop.ingest([day(1)])
    assert ids(shop.orders) == [2, 3]
    deliver(orders(order(3, 2)))
    shop.ingest([day(2)])
    assert read(shop.quarantine).num_rows == 0


def test_a_value_that_changes_for_a_known_key_is_reported(shop, deliver):
    deliver(orders(order(1, 1, 1.0)))
    shop.ingest()
    deliver(orders(order(1, 1, 2.0)))
    (published,) = shop.ingest()
    assert [(f.failed, f.passed) for f in published.findings if f.rule == "no_corrections"] == [(1, False)]
    assert read(shop.orders)["amount"].to_pylist() == [2.0]


def test_an_empty_window_is_published_empty(shop, deliver):
    deliver()
    (published,) = shop.ingest()
    assert (published.rows, published.blocked) == (0, False)
    assert read(shop.orders).equals(orders())
    assert require_published(shop.lake, "shop", "orders", "2024-03-01")["rows"] == 0


def test_a_block_rule_leaves_the_table_as_it_was_and_consumers_are_told(shop, deliver):
    deliver(orders(order(1, 1), order(2, 2)))
    shop.ingest([day(1), day(2)], spec=shop_spec(**CHEAP))
    version = snapshot(shop.orders).version
    deliver(orders(order(1, 1, 99.0), order(7, 1)))
    (blocked,) = shop.ingest(spec=shop_spec(**CHEAP))
    assert blocked.blocked
    assert blocked.version is None
    assert snapshot(shop.orders).version == version
    assert ids(shop.orders) == [1, 2]
    assert ids(shop.quarantine) == [1]
    with pytest.raises(WindowNotPublished, match=r"raw/shop/orders, window 2024-03-01: found a verdict .*\(cheap\)"):
        require_published(shop.lake, "shop", "orders", "2024-03-01")
    assert require_published(shop.lake, "shop", "orders", "2024-03-02")["blocked"] is False
    deliver(orders(order(7, 1)))
    shop.ingest(spec=shop_spec(**CHEAP))
    assert ids(shop.orders) == [7, 2]
    assert require_published(shop.lake, "shop", "orders", "2024-03-01")["rows"] == 1


def test_one_blocked_window_of_a_range_does_not_hold_up_the_others(shop, deliver):
    deliver(orders(order(1, 1), order(2, 2, 99.0), order(3, 3)))
    published = shop.ingest([day(1), day(2), day(3)], spec=shop_spec(**CHEAP))
    assert [(one.window, one.blocked) for one in published] == [
        ("2024-03-01", False),
        ("2024-03-02", True),
        ("2024-03-03", False),
    ]
    assert ids(shop.orders) == [1, 3]


def test_a_window_blocked_in_an_empty_lake_leaves_no_table(shop, deliver):
    deliver(orders(order(1, 1, 99.0)))
    shop.ingest(spec=shop_spec(**CHEAP))
    assert not exists(shop.orders)
    assert ids(shop.quarantine) == [1]


def test_a_range_gives_what_its_windows_give_one_by_one(tmp_path, monkeypatch):
    rows = orders(*(order(n, 1 + n % 4, None if n % 5 else 1.0) for n in range(40)), order(3, 3))

    def between(_table, start, end):
        at = rows["placed_at"].to_pylist()
        return [rows.filter(pa.array([start <= one < end for one in at]))]

    monkeypatch.setattr(feed, "deliver", between)
    spec = shop_spec(rules=[{"name": "paid", "sql": "amount is not null"}])
    together, alone = Shop(tmp_path / "together"), Shop(tmp_path / "alone")
    together.ingest([day(n) for n in (1, 2, 3, 4)], spec=spec)
    for number in (4, 1, 3, 2):
        alone.ingest([day(number)], spec=spec)
    assert read(together.orders).equals(read(alone.orders))
    left_out = ["load_id"]
    assert read(together.quarantine).drop_columns(left_out).equals(read(alone.quarantine).drop_columns(left_out))


def test_windows_that_are_replaced_are_published_in_one_commit(shop, deliver):
    deliver(orders(*(order(n, 1 + n % 3) for n in range(9)), order(0, 1)))
    published = shop.ingest([day(1), day(2), day(3)])
    assert {one.version for one in published} == {snapshot(shop.orders).version} == {1}
    assert snapshot(shop.quarantine).version == 1


def test_a_rule_that_does_not_run_in_one_window_publishes_none_of_them(shop, deliver):
    deliver(orders(order(1, 1), order(2, 2, city="x")))
    rule = {"name": "numbered", "sql": "case when city = 'x' then city::integer > 0 else true end"}
    with pytest.raises(RuleDoesNotRun):
        shop.ingest([day(1), day(2)], spec=shop_spec(rules=[rule]))
    assert not exists(shop.orders)


def test_the_band_of_row_counts_knows_the_windows_of_its_own_run(shop, deliver):
    rows = [order(n, 1) for n in range(10)] + [order(n, 2) for n in range(10, 20)] + [order(30, 3)]
    band = shop_spec(row_count={"history": {"windows": 4, "share": 0.5}})
    deliver(orders(*rows))
    together = shop.ingest([day(1), day(2), day(3)], spec=band)
    found = [{f.rule: f.passed for f in one.findings}["row_count"] for one in together]
    assert found == [True, True, False]


def test_rows_outside_the_asked_windows_are_set_aside_and_not_lost(shop, deliver):
    deliver(orders(order(1, 1), order(2, 2), order(9, 9), {**order(8, 1), "placed_at": None}))
    first, second = shop.ingest([day(1), day(2)])
    assert ids(shop.orders) == [1, 2]
    assert read(shop.quarantine).select(["order_id", "failed_rules"]).to_pylist() == [
        {"order_id": 8, "failed_rules": ["in_window"]},
        {"order_id": 9, "failed_rules": ["in_window"]},
    ]
    assert (first.quarantined_rows, second.quarantined_rows) == (2, 0)


def test_a_changed_type_changes_nothing(shop, deliver):
    deliver(orders(order(1, 1)))
    shop.ingest()
    verdict, version = read_verdict(shop.lake, "shop", "orders", "2024-03-01"), snapshot(shop.orders).version
    deliver(orders(order(1, 1)).set_column(2, "amount", pa.array(["1"])))
    with pytest.raises(SchemaChanged, match="column amount"):
        shop.ingest()
    assert snapshot(shop.orders).version == version
    assert read_verdict(shop.lake, "shop", "orders", "2024-03-01") == verdict


def test_an_undeclared_column_that_changes_type_is_refused_too(shop, deliver):
    deliver(orders(order(1, 1)).append_column("extra", pa.array([1])))
    shop.ingest()
    deliver(orders(order(2, 2)).append_column("extra", pa.array(["one"])))
    with pytest.raises(Exception, match="column extra: found type string; required long"):
        shop.ingest([day(2)])
    assert ids(shop.orders) == [1]


def test_a_new_column_is_reported_once_and_null_in_older_windows(shop, deliver):
    deliver(orders(order(1, 1)))
    assert shop.ingest()[0].schema_changes == {}
    deliver(orders(order(2, 2)).append_column("coupon", pa.array(["x"])))
    assert shop.ingest([day(2)])[0].schema_changes == {"coupon": "string"}
    assert shop.ingest([day(2)])[0].schema_changes == {}
    assert read(shop.orders)["coupon"].to_pylist() == [None, "x"]


def test_a_new_column_in_a_range_is_reported_for_its_first_window(shop, deliver):
    rows = orders(order(1, 1), order(2, 2), order(3, 3)).append_column("coupon", pa.array(["x", "y", "z"]))
    deliver(rows)
    assert [one.schema_changes for one in shop.ingest([day(1), day(2), day(3)])] == [{"coupon": "string"}, {}, {}]


def test_a_rule_that_does_not_run_publishes_nothing(shop, deliver):
    deliver(orders(order(1, 1)))
    with pytest.raises(RuleDoesNotRun):
        shop.ingest(spec=shop_spec(rules=[{"name": "wrong", "sql": "nope"}]))
    assert not exists(shop.orders)


def test_a_whole_table_is_replaced_whole(shop, deliver):
    deliver(orders(order(1, 1), order(2, 9), order(2, 9, 3.0)))
    (published,) = shop.ingest([])
    assert (published.window, published.rows, published.quarantined_rows) == (None, 2, 1)
    deliver(orders(order(3, 1)))
    shop.ingest([])
    assert ids(shop.orders) == [3]
    assert read(shop.quarantine).num_rows == 0
    assert require_published(shop.lake, "shop", "orders", None)["rows"] == 1


def test_windows_and_partitions_must_fit(shop):
    with pytest.raises(WindowsMismatch, match="found 0 windows; required at least one window"):
        shop.ingest([], spec=shop_spec())
    with pytest.raises(WindowsMismatch, match="found 1 windows; required none"):
        shop.ingest([day(1)], spec=shop_spec(partitioned=False))


def test_a_window_nobody_published_is_told():
    with pytest.raises(WindowNotPublished, match="window 2024-03-01: found no verdict"):
        require_published("/nowhere", "shop", "orders", "2024-03-01")


def test_the_verdict_tells_what_was_found(shop, deliver):
    deliver(orders(order(1, 1), order(1, 1, 2.0)))
    (published,) = shop.ingest()
    verdict = read_verdict(shop.lake, "shop", "orders", "2024-03-01")
    assert verdict is not None
    assert verdict["schema_version"] == 1
    assert (verdict["version"], verdict["load_id"]) == (published.version, published.load_id)
    (twin,) = [found for found in verdict["findings"] if found["rule"] == "unique_key"]
    assert (twin["failed"], twin["passed"], twin["sample"][0]["order_id"]) == (1, False, 1)
    assert json.dumps(verdict)


RACER = """
import sys
sys.path.insert(0, "tests")
from pathlib import Path
from typing import Any
from ingestion import feed
from ingestion.world import Shop, day, order, orders
feed.deliver = lambda *_: [orders(*(order(n, 1 + n % 2) for n in range(2000)), order(0, 1, 9.0))]
sys.stdin.readline()
for _ in range(2):
    Shop(Path(sys.argv[1])).ingest([day(1), day(2)])
"""


@pytest.mark.slow
def test_two_processes_that_ingest_the_same_windows_into_an_empty_lake_leave_every_row_once(shop):
    root = str(Path(shop.lake).parent)
    racers = [subprocess.Popen([sys.executable, "-c", RACER, root], cwd=ROOT, stdin=subprocess.PIPE) for _ in range(2)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    assert [racer.wait(120) for racer in racers] == [0, 0]
    assert sorted(ids(shop.orders)) == list(range(2000))
    assert ids(shop.quarantine) == [0]


def test_the_last_published_window_is_the_newest_that_nothing_blocks(shop, deliver):
    days = [day(1), day(2), day(3), day(4)]
    with pytest.raises(NothingPublished):
        last_published(shop.lake, "shop", "orders", days)
    deliver(orders(order(1, 1), order(2, 2), order(3, 3, 99.0)))
    shop.ingest([day(1), day(2), day(3)], spec=shop_spec(**CHEAP))
    assert last_published(shop.lake, "shop", "orders", days) == day(2)
