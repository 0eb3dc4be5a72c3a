"""Publish modes: what is in a table after loads that overlap, correct, arrive late or bring nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingestion.ledger import COLUMNS, FILE, NOW, Ledger, day, ledger_spec, row

from mlops_assets.ingestion.load_state import standing
from mlops_assets.ingestion.modes import PublishModeChanged
from mlops_assets.lake.commit import ColumnTypeChanged
from mlops_assets.lake.tables import exists, read, snapshot

POSITIVE: dict[str, Any] = {"rules": [{"name": "positive", "sql": "balance >= 0"}]}
STRICT: dict[str, Any] = {"rules": [{"name": "positive", "sql": "balance >= 0", "severity": "block"}]}


@pytest.fixture(autouse=True)
def _own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, "")


@pytest.fixture
def ledger(tmp_path: Path):
    return lambda source, publish, **table: Ledger(tmp_path, ledger_spec(source, publish, **table))


def outcome(published) -> tuple[int, int, int, int]:
    return published.added, published.changed, published.vanished, published.late


def versions(one: Ledger) -> list[tuple[int, float, int, bool]]:
    found = read(one.uri).sort_by([("id", "ascending"), ("revision", "ascending")]).to_pylist()
    return [(each["id"], each["balance"], each["revision"], each["is_deleted"]) for each in found]


# append


@pytest.mark.parametrize("key", [["id"], []])
def test_a_cursor_brings_each_event_once_also_those_at_its_last_value(ledger, key):
    one = ledger("grows", "append", key=key)
    first, second = [row(1, 1), row(2, 5)], [row(3, 5), row(4, 9)]
    one.load(*first)
    published = one.load(*first, *second)
    assert one.published == sorted([*first, *second], key=repr)
    assert (outcome(published), published.total_rows) == ((2, 0, 0, 0), 4)


def test_without_a_key_equal_events_are_as_many_as_the_source_has(ledger):
    one = ledger("whole", "append", key=[])
    one.load(row(1, 1), row(1, 1))
    published = one.load(row(1, 1), row(1, 1), row(1, 1), row(2, 2))
    assert published.added == 2
    assert one.published == [row(1, 1)] * 3 + [row(2, 2)]
    assert outcome(one.load(row(2, 2))) == (0, 0, 0, 0)
    assert len(one.published) == 4


def test_other_values_of_a_known_event_are_named_and_not_added(ledger):
    one = ledger("whole", "append")
    one.load(row(1, 1, 1.0), row(2, 2))
    published = one.load(row(1, 1, 7.0), row(3, 3))
    assert outcome(published) == (1, 0, 1, 1)
    (finding,) = [found for found in published.findings if found.rule == "no_corrections"]
    assert (finding.passed, finding.failed) == (False, 1)
    assert one.published == [row(1, 1, 1.0), row(2, 2), row(3, 3)]


# history


def test_a_correction_is_a_new_version_and_what_is_gone_ends(ledger):
    one = ledger("whole", "history")
    later, latest = NOW + timedelta(days=1), NOW + timedelta(days=2)
    one.load(row(1, 1, 1.0), row(2, 2))
    assert outcome(one.load(row(1, 1, 5.0), row(2, 2), row(3, 3), now=later)) == (1, 1, 0, 0)
    assert outcome(one.load(row(1, 1, 5.0), row(3, 3), now=latest)) == (0, 0, 1, 0)
    assert versions(one) == [
        (1, 1.0, 0, False),
        (1, 5.0, 1, False),
        (2, 1.0, 0, False),
        (2, 1.0, 1, True),
        (3, 1.0, 0, False),
    ]
    recorded = {(each["id"], each["revision"]): each["recorded_at"] for each in read(one.uri).to_pylist()}
    assert recorded == {(1, 0): NOW, (1, 1): later, (2, 0): NOW, (2, 1): latest, (3, 0): later}


def test_a_row_that_comes_back_is_a_version_after_its_end(ledger):
    one = ledger("whole", "history")
    one.load(row(1, 1), row(2, 2))
    one.load(row(2, 2))
    assert outcome(one.load(row(1, 1), row(2, 2))) == (1, 0, 0, 0)
    assert [one for one in versions(one) if one[0] == 1] == [(1, 1.0, 0, False), (1, 1.0, 1, True), (1, 1.0, 2, False)]


def test_what_a_cursor_does_not_bring_has_not_vanished_and_a_full_read_tells(ledger):
    one = ledger("grows", "history")
    one.load(row(1, 1), row(2, 2))
    assert outcome(one.load(row(2, 5, 3.0))) == (0, 1, 0, 0)
    assert outcome(one.again(full=True)) == (0, 0, 1, 0)
    assert versions(one)[1] == (1, 1.0, 1, True)


def test_a_row_that_was_set_aside_has_not_vanished(ledger):
    one = ledger("whole", "history", **POSITIVE)
    one.load(row(1, 1), row(2, 2))
    assert outcome(one.load(row(1, 1), row(2, 2, -1.0))) == (0, 0, 0, 0)
    assert one.aside == [row(2, 2, -1.0)]
    assert versions(one) == [(1, 1.0, 0, False), (2, 1.0, 0, False)]


def test_a_window_again_adds_its_corrections_alone(ledger):
    one = ledger("daily", "history")
    rows = [row(1, 1), row(2, 2), row(3, 1500)]
    one.load(*rows, windows=(day(1), day(2)))
    version = snapshot(one.uri).version
    assert outcome(one.again(windows=(day(1),))) == (0, 0, 0, 0)
    assert snapshot(one.uri).version == version
    published = one.load(row(1, 1, 4.0), row(3, 1500), windows=(day(1),))
    assert (outcome(published), published.total_rows) == ((0, 1, 1, 0), 4)
    assert versions(one) == [
        (1, 1.0, 0, False),
        (1, 4.0, 1, False),
        (2, 1.0, 0, False),
        (2, 1.0, 1, True),
        (3, 1.0, 0, False),
    ]
    assert sorted(read(one.uri, window=day(2).key)["id"].to_pylist()) == [3]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_row_that_moves_to_another_window_is_a_new_version_and_not_an_end(ledger, order):
    one = ledger("daily", "history")
    one.load(row(1, 1), row(2, 2), windows=(day(1), day(2)))
    one.write(row(1, 1500), row(2, 2))
    for number in order:
        one.again(windows=(day(number),), now=NOW + timedelta(days=1))
    newest = max((each for each in read(one.uri).to_pylist() if each["id"] == 1), key=lambda each: each["revision"])
    assert newest["at"] == row(1, 1500)["at"]
    assert not newest["is_deleted"]
    assert newest["revision"] > 0  # or it would count as known since its own time


SNAPSHOTS = st.lists(
    st.dictionaries(st.integers(0, 4), st.sampled_from([None, 1.0, 2.0]), max_size=5), min_size=1, max_size=5
)


@settings(max_examples=12)
@given(SNAPSHOTS)
def test_the_history_gives_back_what_the_source_was_after_each_load(tmp_path_factory, snapshots):
    one = Ledger(tmp_path_factory.mktemp("ledger"), ledger_spec("whole", "history"))
    for number, accounts in enumerate(snapshots):
        one.load(*(row(key, 0, balance) for key, balance in accounts.items()), now=NOW + timedelta(days=number))
    kept = read(one.uri).to_pylist()
    for number, accounts in enumerate(snapshots):
        known: dict[int, dict[str, Any]] = {}
        for each in sorted(kept, key=lambda each: each["revision"]):
            if each["recorded_at"] <= NOW + timedelta(days=number):
                known[each["id"]] = each
        assert {key: each["balance"] for key, each in known.items() if not each["is_deleted"]} == accounts


# upsert


def test_a_stale_duplicate_never_takes_the_place_of_a_newer_row(ledger):
    """dlt's `delete-insert` keeps the stale one of two rows in a batch, whichever comes first."""
    one = ledger("whole", "upsert")
    stale, fresh = row(1, 120, 2.0), row(1, 150, 22.0)
    one.load(fresh, stale)
    assert one.published == [fresh]
    assert outcome(one.load(stale, row(2, 1))) == (1, 0, 0, 1)
    assert one.published == [fresh, row(2, 1)]
    one.load(stale, row(1, 200, 5.0), fresh)
    assert one.published == [row(1, 200, 5.0), row(2, 1)]


def test_rows_that_are_equally_new_are_told_apart_by_nobody(ledger):
    one = ledger("whole", "upsert")
    published = one.load(row(1, 1, 1.0), row(1, 1, 2.0))
    assert (published.rows, published.quarantined_rows) == (1, 1)


@settings(max_examples=12)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=5, unique=True), min_size=1, max_size=5)
)
def test_after_any_loads_each_key_has_its_newest_row(tmp_path_factory, loads):
    one = Ledger(tmp_path_factory.mktemp("ledger"), ledger_spec("whole", "upsert"))
    newest: dict[int, dict[str, Any]] = {}
    for load in loads:
        rows = [row(key, minute, float(minute)) for key, minute in load]
        one.load(*rows)
        for each in rows:
            if each["id"] not in newest or each["at"] >= newest[each["id"]]["at"]:
                newest[each["id"]] = each
    assert one.published == sorted(newest.values(), key=repr)


# every mode


@pytest.mark.parametrize("publish", ["replace", "append", "history", "upsert"])
def test_the_same_rows_again_make_no_commit_and_keep_the_content(ledger, publish):
    one = ledger("whole", publish)
    first = one.load(row(2, 2), row(1, 1))
    second = one.load(row(1, 1), row(2, 2))
    assert (second.version, second.content) == (first.version, first.content)
    assert one.load(row(1, 1), row(2, 3, 9.0), row(3, 1)).content != first.content


def test_the_same_window_again_makes_no_commit(ledger):
    one = ledger("daily", "replace")
    first = one.load(row(2, 2), row(1, 1), windows=(day(1),))
    again = one.again(windows=(day(1),))
    assert (again.version, again.content) == (first.version, first.content)
    assert outcome(one.load(row(1, 1, 3.0), row(4, 4), windows=(day(1),))) == (1, 1, 1, 0)


def test_a_declared_column_that_is_new_reaches_the_table_although_it_is_empty(ledger):
    one = ledger("whole", "append")
    one.load(row(1, 1))
    table = pq.read_table(one.file)
    pq.write_table(table.append_column("note", pa.array([None], pa.string())), one.file)
    one.again(spec=ledger_spec("whole", "append", columns={**COLUMNS, "note": "VARCHAR"}))
    assert read(one.uri).to_pylist() == [{**row(1, 1), "note": None}]


@pytest.mark.parametrize(("before", "after"), [("replace", "history"), ("history", "upsert")])
def test_another_mode_over_the_same_table_is_refused(ledger, before, after):
    one = ledger("whole", before)
    one.load(row(1, 1))
    version = snapshot(one.uri).version
    with pytest.raises(PublishModeChanged, match=f"publish: {after}"):
        one.load(row(2, 2), spec=ledger_spec("whole", after))
    assert snapshot(one.uri).version == version


@pytest.mark.parametrize("publish", ["append", "history", "upsert"])
def test_a_changed_type_is_refused_where_rows_are_kept(ledger, publish):
    one = ledger("whole", publish)
    one.load(row(1, 1))
    in_words(one)
    with pytest.raises(ColumnTypeChanged, match="column balance"):
        one.again(spec=ledger_spec("whole", publish, columns={**COLUMNS, "balance": "VARCHAR"}))
    assert one.published == [row(1, 1)]


def test_a_table_that_is_replaced_whole_may_change_its_types(ledger):
    one = ledger("whole", "replace")
    one.load(row(1, 1))
    in_words(one)
    one.again(spec=ledger_spec("whole", "replace", columns={**COLUMNS, "balance": "VARCHAR"}))
    assert read(one.uri)["balance"].to_pylist() == ["1"]


def in_words(one: Ledger) -> None:
    table = pq.read_table(one.file)
    pq.write_table(table.set_column(2, "balance", table["balance"].cast(pa.string())), one.file)


# cursors and quarantine


def test_the_cursor_stands_in_the_commit_of_its_rows(ledger):
    one = ledger("grows", "append")
    published = one.load(row(1, 1))
    first = standing(one.uri, published.version)
    assert (first.load, first.load_id) == (1, published.load_id)
    one.load(row(1, 1), row(2, 2))
    second = one.table_standing()
    assert second.load == 2
    assert second.state != first.state


def test_a_blocked_load_leaves_table_and_cursor_and_the_next_begins_where_the_last_good_one_ended(ledger):
    one = ledger("grows", "append", key=[], **STRICT)
    one.load(row(1, 1))
    before = one.table_standing()
    blocked = one.load(row(1, 1), row(2, 2), row(3, 3, -1.0))
    assert blocked.blocked
    assert one.table_standing() == before
    assert one.published == [row(1, 1)]
    one.load(row(1, 1), row(2, 2), row(3, 3, 1.0))
    assert one.published == [row(1, 1), row(2, 2), row(3, 3, 1.0)]
    one.load(row(4, 4))
    assert one.aside == []  # what only the blocked attempt set aside came again, mended


def test_a_load_blocked_in_an_empty_lake_leaves_no_table(ledger):
    one = ledger("grows", "upsert", **STRICT)
    assert one.load(row(1, 1, -1.0)).blocked
    assert not exists(one.uri)


def test_a_load_of_bad_rows_alone_moves_the_cursor_on(ledger):
    one = ledger("grows", "append", key=[], **POSITIVE)
    one.load(row(1, 1))
    one.load(row(1, 1), row(2, 2, -1.0))
    one.load(row(1, 1), row(2, 2, -1.0), row(3, 3))
    assert one.published == [row(1, 1), row(3, 3)]
    assert one.aside == [row(2, 2, -1.0)]


@pytest.mark.parametrize("publish", ["append", "history", "upsert"])
def test_a_bad_row_that_every_load_sees_is_set_aside_once(ledger, publish):
    one = ledger("whole", publish, **POSITIVE)
    bad = row(2, 2, -1.0)
    first = one.load(row(1, 1), bad)
    one.load(row(1, 1), bad, row(3, 3))
    one.load(bad, row(3, 3), row(4, 4, -2.0))
    assert one.aside == [bad, row(4, 4, -2.0)]
    assert read(one.quarantine_uri)["load_id"].to_pylist()[0] == first.load_id
    one.load(row(3, 3))
    assert one.aside == [bad, row(4, 4, -2.0)]  # a table that only grows keeps what it set aside
