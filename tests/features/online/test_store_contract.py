"""What every online store does, whatever it is made of."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from mlops_assets.features.online import sqlite_store
from mlops_assets.features.online.schema import Schema
from mlops_assets.features.online.store import Changes, NotOnline, OnlineConflict, StoredView

SCHEMA = Schema("customer", "d" * 64, (("customer", "string"),), (("amount", "double"),), None)


def stored(revision=1, **fields):
    return StoredView(SCHEMA, revision, **{"source_version": 3, "as_of_us": 5, "forgotten": "none", **fields})


def rebuild(rows, revision=1, **fields):
    return Changes(list(rows.items()), (), stored(revision, **fields), is_rebuild=True)


def increment(rows, gone=(), revision=2, **fields):
    return Changes(list(rows.items()), list(gone), stored(revision, **fields), is_rebuild=False)


def rows_of(store, *keys, view="customer"):
    ((_, values),) = store.read([(view, keys)])
    return values


@pytest.fixture
def filled(store):
    store.write("customer", rebuild({b"a": b"1", b"b": b"2", b"c": b"3"}), expected=0)
    return store


def test_a_view_that_was_never_written_is_absent(store):
    assert store.stored("customer") is None
    with pytest.raises(NotOnline, match="nothing in the online store"):
        store.read([("customer", [b"a"])])


def test_rows_come_back_in_the_order_of_the_keys_and_absent_ones_as_none(filled):
    assert rows_of(filled, b"c", b"nobody", b"a", b"c") == [b"3", None, b"1", b"3"]
    assert rows_of(filled, b"b") == [b"2"]
    assert rows_of(filled, b"nobody") == [None]
    assert rows_of(filled) == []


def test_keys_and_values_are_any_bytes(store):
    every = {bytes([n]) * (n % 3 + 1): bytes(range(n)) + b"\0:*[" for n in range(256)}
    store.write("customer", rebuild(every), expected=0)

    assert rows_of(store, *every) == list(every.values())


def test_many_rows_in_one_read(store):
    many = {n.to_bytes(4, "big"): str(n).encode() for n in range(1500)}
    store.write("customer", rebuild(many), expected=0)

    assert rows_of(store, *reversed(many)) == list(reversed(many.values()))


def test_what_a_reader_remembers_has_an_end_and_changes_with_the_view(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "REMEMBERED", 50)
    store = sqlite_store.SqliteStore(tmp_path)
    many = {n.to_bytes(2, "big"): str(n).encode() for n in range(300)}
    store.write("customer", rebuild(many), expected=0)
    for n in [*range(300), *range(300)]:
        assert rows_of(store, n.to_bytes(2, "big"), b"nobody") == [str(n).encode(), None]
    opened = store._open("customer")

    assert rows_of(store, *many) == list(many.values())
    assert len(opened.memory) <= 50 + 300
    assert rows_of(store, b"nobody") == [None]
    assert len(opened.memory) == 1
    store.write("customer", increment({b"nobody": b"4"}, gone=[b"\0\0"]), expected=1)
    assert rows_of(store, b"nobody", b"\0\0") == [b"4", None]


def test_several_views_are_read_at_once(filled):
    filled.write("plane", rebuild({b"a": b"plane"}), expected=0)

    (first, second, third) = filled.read([("plane", [b"b", b"a"]), ("customer", [b"a"]), ("plane", [])])

    assert (first[1], second[1], third[1]) == ([None, b"plane"], [b"1"], [])


def test_a_read_says_what_the_rows_are(filled):
    ((state, _),) = filled.read([("customer", [b"a"])])

    assert (state.schema, state.revision, state.source_version, state.as_of_us) == (SCHEMA, 1, 3, 5)
    assert state.is_complete


def test_an_increment_changes_adds_and_removes(filled):
    filled.write("customer", increment({b"b": b"20", b"d": b"4"}, gone=[b"c", b"nobody"], source_version=4), expected=1)

    assert rows_of(filled, b"a", b"b", b"c", b"d") == [b"1", b"20", None, b"4"]
    assert filled.stored("customer").source_version == 4


def test_a_rebuild_leaves_nothing_of_before(filled):
    filled.write("customer", rebuild({b"b": b"20"}, revision=2), expected=1)

    assert rows_of(filled, b"a", b"b", b"c") == [None, b"20", None]


def test_an_empty_view_is_a_view(store):
    store.write("customer", rebuild({}), expected=0)

    assert rows_of(store, b"a") == [None]


def test_another_reader_notices_each_change(filled, open_again):
    reader = open_again()
    assert rows_of(reader, b"a") == [b"1"]

    filled.write("customer", increment({b"a": b"10"}), expected=1)
    assert rows_of(reader, b"a") == [b"10"]
    filled.write("customer", rebuild({b"a": b"100"}, revision=3), expected=2)
    assert rows_of(reader, b"a") == [b"100"]
    filled.delete("customer", [b"a"])
    assert rows_of(reader, b"a") == [None]


@pytest.mark.parametrize("expected", [0, 2])
@pytest.mark.parametrize("change", [rebuild, increment])
def test_a_write_that_was_decided_on_another_revision_changes_nothing(filled, change, expected):
    with pytest.raises(OnlineConflict, match=f"required revision {expected}"):
        filled.write("customer", change({b"a": b"late"}, revision=expected + 1), expected=expected)

    assert rows_of(filled, b"a", b"b") == [b"1", b"2"]
    assert filled.stored("customer").revision == 1
    assert filled.stored("customer").is_complete


def test_of_two_first_writers_the_second_is_refused(filled, open_again):
    with pytest.raises(OnlineConflict):
        open_again().write("customer", rebuild({b"z": b"9"}), expected=0)

    assert rows_of(filled, b"a", b"z") == [b"1", None]


def test_a_deleted_row_is_gone_and_writers_of_before_are_refused(filled, open_again):
    filled.delete("customer", [b"b", b"nobody"])

    assert rows_of(open_again(), b"a", b"b", b"c") == [b"1", None, b"3"]
    with pytest.raises(OnlineConflict):
        filled.write("customer", increment({b"b": b"back"}), expected=1)
    filled.write("customer", increment({b"a": b"10"}, revision=3), expected=2)
    assert rows_of(filled, b"a", b"b") == [b"10", None]


def test_deleting_from_an_absent_view_does_nothing(store):
    store.delete("customer", [b"a"])

    assert store.stored("customer") is None


def test_views_and_their_rows_do_not_mix(filled):
    filled.write("customer_2", rebuild({b"a": b"other"}), expected=0)
    filled.delete("customer", [b"a"])

    assert rows_of(filled, b"a", view="customer_2") == [b"other"]


def test_of_writers_that_race_each_revision_has_one(filled, open_again):
    """Four of them look, decide and write for a while; who is refused changed nothing."""

    def race(number):
        store, wins = open_again(), []
        for _ in range(12):
            revision = store.stored("customer").revision
            rows = dict.fromkeys((b"a", b"b"), b"%d of %d" % (revision + 1, number))
            with suppress(OnlineConflict):
                store.write("customer", increment(rows, revision=revision + 1), expected=revision)
                wins.append((revision + 1, rows[b"a"]))
        return wins

    with ThreadPoolExecutor(4) as pool:
        wins = [win for some in pool.map(race, range(4)) for win in some]

    assert sorted(revision for revision, _ in wins) == list(range(2, len(wins) + 2))
    stored = filled.stored("customer")
    assert stored.revision == len(wins) + 1
    if stored.is_complete:  # else the rows of a refused writer stand beside the winner's, and a rebuild is due
        assert rows_of(filled, b"a", b"b") == [dict(wins)[stored.revision]] * 2
