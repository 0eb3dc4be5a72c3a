"""What a materialisation writes, leaves alone and removes; and that an online read is the offline join at the same time."""

import math
import struct
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from features.online.world import EVERY_TYPE, EXAMPLE, Shelf, at, row
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mlops_assets.features.online.forgotten import forget
from mlops_assets.features.online.schema import UnstorableType
from mlops_assets.features.online.sqlite_store import SqliteStore
from mlops_assets.features.online.store import OnlineConflict
from mlops_assets.features.vectors import StaleView
from mlops_assets.lake import tables
from mlops_assets.lake.delta import TableNotFound

CUSTOMER = {"customer": pa.string()}
ANN, BOB, CID = ({"customer": name} for name in ("ann", "bob", "cid"))


@pytest.fixture
def shelf(tmp_path, store):
    return Shelf(str(tmp_path / "lake"), store, CUSTOMER, {"amount": pa.float64()})


def amounts(shelf, now, *entities):
    return list(shelf.read(entities or (ANN, BOB, CID), now).columns["amount"])


def test_values_of_every_type_come_back_as_they_are_offline(tmp_path, store):
    shelf = Shelf(str(tmp_path / "lake"), store, CUSTOMER, EVERY_TYPE)
    shelf.publish([row(ANN, 1, 1, **EXAMPLE), row(BOB, 1, 1, **dict.fromkeys(EVERY_TYPE))])

    shelf.materialise(2)

    found = shelf.read([BOB, ANN, CID], 2).columns
    assert list(found) == list(EVERY_TYPE)
    assert {name: values[1] for name, values in found.items()} == EXAMPLE
    assert {name: type(values[1]) for name, values in found.items()} == {n: type(v) for n, v in EXAMPLE.items()}
    assert math.copysign(1, found["vector"][1][2]) == -1
    assert {(values[0], values[2]) for values in found.values()} == {(None, None)}
    assert {name: list(values) for name, values in found.items()} == shelf.offline([BOB, ANN, CID], 2)


def test_only_entities_whose_newest_row_changed_are_written(shelf):
    rows = [row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)]
    shelf.publish(rows)
    first = shelf.materialise(2)
    shelf.publish([*rows, row(BOB, 3, 3, amount=3.0), row(CID, 3, 3, amount=4.0)])
    second = shelf.materialise(4)
    again = shelf.materialise(5)

    assert (first.written, first.removed, first.is_rebuild) == (2, 0, True)
    assert (second.written, second.removed, second.is_rebuild, second.entities) == (2, 0, False, 3)
    assert (again.written, again.removed, again.is_rebuild) == (0, 0, False)
    assert amounts(shelf, 5) == [1.0, 3.0, 4.0]


def test_late_and_corrected_rows_reach_the_store(shelf):
    rows = [row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)]
    shelf.publish(rows)
    shelf.materialise(10)

    late = row(CID, 2, 2, amount=3.0)  # known long before the last materialisation, loaded after it
    corrected = row(ANN, 1, 11, amount=10.0)
    older = row(BOB, 0, 11, amount=20.0)  # news about an older time displaces nothing
    shelf.publish([*rows, late, corrected, older])
    done = shelf.materialise(12)

    assert (done.written, done.is_rebuild) == (2, False)
    assert amounts(shelf, 12) == [10.0, 2.0, 3.0]


def test_a_row_that_becomes_usable_without_a_new_version_is_written_then(shelf):
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(ANN, 5, 4, amount=5.0), row(BOB, 1, 6, amount=6.0)])
    shelf.materialise(2)
    assert amounts(shelf, 2) == [1.0, None, None]

    assert shelf.materialise(5).written == 1
    assert amounts(shelf, 5) == [5.0, None, None]
    assert shelf.materialise(6).written == 1
    assert amounts(shelf, 6) == [5.0, 6.0, None]


def test_a_reader_of_an_earlier_time_is_given_nothing_rather_than_the_future(shelf):
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(ANN, 5, 7, amount=5.0)])
    shelf.materialise(8)

    assert [amounts(shelf, hour, ANN) for hour in (6.999, 7)] == [[None], [5.0]]


def test_an_entity_without_rows_is_removed(shelf):
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)])
    shelf.materialise(2)
    shelf.publish([row(BOB, 1, 1, amount=2.0)])

    done = shelf.materialise(3)

    assert (done.written, done.removed) == (0, 1)
    assert amounts(shelf, 3) == [None, 2.0, None]


@pytest.mark.parametrize(("before", "after"), [(None, math.nan), (math.nan, None), (1.0, math.nextafter(1.0, 2))])
def test_the_smallest_change_of_a_value_is_a_change(shelf, before, after):
    shelf.publish([row(ANN, 1, 1, amount=before)])
    shelf.materialise(2)
    shelf.publish([row(ANN, 1, 1, amount=after)])

    assert shelf.materialise(3).written == 1
    (found,) = amounts(shelf, 3, ANN)
    assert (found is None) == (after is None)
    assert after is None or struct.pack("d", found) == struct.pack("d", after)


def test_a_change_of_definition_or_type_rebuilds(shelf):
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)])
    shelf.materialise(2)

    shelf.sql = "select 2"
    shelf.publish([row(ANN, 1, 1, amount=1.0)])
    assert shelf.materialise(3).is_rebuild
    assert amounts(shelf, 3) == [1.0, None, None]

    shelf.features = {"amount": pa.int64()}
    shelf.publish([row(ANN, 1, 1, amount=7)])
    assert shelf.materialise(4).is_rebuild
    assert amounts(shelf, 4) == [7, None, None]


def test_when_the_version_that_the_rows_came_from_is_gone_all_are_written(shelf):
    shelf.publish([row(ANN, 1, 1, amount=1.0)])
    shelf.materialise(2)
    old = tables.snapshot(shelf.uri).files
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)])
    for file in old:
        Path(file).unlink()

    assert shelf.materialise(3).is_rebuild
    assert amounts(shelf, 3) == [1.0, 2.0, None]


def test_a_table_of_another_definition_is_refused(shelf):
    shelf.publish([row(ANN, 1, 1, amount=1.0)])
    shelf.sql = "select 2"

    with pytest.raises(StaleView, match="Materialise `features/view`"):
        shelf.materialise(2)


def test_a_view_that_was_never_computed_is_refused(shelf):
    with pytest.raises(TableNotFound):
        shelf.materialise(2)


@pytest.mark.parametrize(
    ("entity", "feature", "column"),
    [(pa.float64(), pa.int64(), "customer"), (pa.string(), pa.struct([("x", pa.int64())]), "amount")],
)
def test_types_that_a_row_cannot_hold_are_named(tmp_path, entity, feature, column):
    shelf = Shelf(str(tmp_path / "lake"), SqliteStore(tmp_path), {"customer": entity}, {"amount": feature})
    shelf.publish([])

    with pytest.raises(UnstorableType, match=f"online_features/view, column {column}"):
        shelf.materialise(1)


def test_who_is_second_decides_again(shelf, open_again):
    """A twin publishes between the decision and the write of the first."""
    shelf.publish([row(ANN, 1, 1, amount=1.0)])
    shelf.materialise(2)
    twin = Shelf(shelf.lake, open_again(), shelf.entity, shelf.features)
    write, calls = shelf.store.write, []

    def write_second(view, changes, *, expected):
        if not calls:
            twin.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 2, 2, amount=2.0)])
            twin.materialise(3)
        calls.append(expected)
        write(view, changes, expected=expected)

    shelf.publish([row(ANN, 1, 1, amount=1.0), row(CID, 1, 1, amount=3.0)])
    shelf.store.write = write_second
    shelf.materialise(4)

    assert calls == [1, 2][: len(calls)]
    assert amounts(shelf, 4) == [1.0, 2.0, None]


def test_forgetting_wins_against_a_write_that_is_under_way(shelf, open_again):
    rows = [row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)]
    shelf.publish(rows)
    shelf.materialise(2)
    write, calls = shelf.store.write, []

    def write_late(view, changes, *, expected):
        if not calls:
            forget(shelf.view, ANN, lake=shelf.lake, store=open_again(), now=at(3))
        calls.append(expected)
        write(view, changes, expected=expected)

    shelf.publish([row(ANN, 3, 3, amount=9.0), row(BOB, 1, 1, amount=2.0)])
    shelf.store.write = write_late
    shelf.materialise(4)

    assert calls[0] == 1
    assert amounts(shelf, 4) == [None, 2.0, None]


def test_a_writer_that_never_comes_first_says_so(shelf):
    shelf.publish([row(ANN, 1, 1, amount=1.0)])
    shelf.materialise(2)
    shelf.publish([row(ANN, 1, 1, amount=2.0)])
    write = shelf.store.write

    def always_late(view, changes, *, expected):
        shelf.store.delete(view, [b"nobody"])
        write(view, changes, expected=expected)

    shelf.store.write = always_late
    with pytest.raises(OnlineConflict, match="required revision"):
        shelf.materialise(3)
    assert amounts(shelf, 3, ANN) == [1.0]


NO_SHRINK = [Phase.explicit, Phase.reuse, Phase.generate]  # an example takes half a second
hours = st.integers(0, 12)
names, numbers = st.sampled_from(["a", "b", "", None]), st.sampled_from([-1, 0, 2**63 - 1, None])
GENERATED = {
    "amount": st.none() | st.floats(),
    "share": st.none() | st.floats(width=32),
    "count": st.none() | st.integers(-(2**63), 2**63 - 1),
    "is_new": st.none() | st.booleans(),
    "city": st.none() | st.text(max_size=3),
    "birthday": st.none() | st.dates(date(1, 1, 2), date(9999, 12, 30)),
    "price": st.none() | st.decimals(-(10**6), 10**6, places=3),
    "seen_at": st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    "vector": st.none() | st.lists(st.none() | st.floats(), max_size=3),
}
values = st.fixed_dictionaries(GENERATED)
histories = st.lists(
    st.tuples(
        st.lists(
            st.tuples(names, numbers, hours, hours, values),
            unique_by=lambda one: tuple(map(repr, one[:4])),
            max_size=12,
        ),
        hours,
    ),
    min_size=1,
    max_size=3,
)
ENTITIES = [
    {"shop": name, "item": number} for name in ["a", "b", "", "unknown", None] for number in [-1, 0, 2**63 - 1, None]
]


def bits(value):
    """Return a value with its bits, but for the sign of zero and of NaN, which DuckDB's own joins do not keep."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else struct.pack("d", value + 0.0)
    if isinstance(value, list):
        return list(map(bits, value))
    return (type(value), value.as_tuple()) if isinstance(value, Decimal) else (type(value), value)


@settings(max_examples=40, phases=NO_SHRINK)
@given(histories, st.none() | st.integers(1, 6))
def test_an_online_read_is_the_offline_join_at_the_same_time(history, ttl):
    """The table changes as it likes, and with it time goes on or back: every materialisation catches up."""
    types = {name: EVERY_TYPE[name] for name in GENERATED}
    with tempfile.TemporaryDirectory() as folder:
        entity = {"shop": pa.string(), "item": pa.int64()}
        shelf = Shelf(f"{folder}/lake", SqliteStore(Path(folder)), entity, types, ttl_hours=ttl)
        for rows, now in history:
            shelf.publish([row({"shop": s, "item": i}, event, known, **v) for s, i, event, known, v in rows])
            shelf.materialise(now)
            for later in {now, now + (ttl or 0)}:
                online = shelf.read(ENTITIES, later).columns
                if later != now:  # what becomes usable later comes with the next materialisation
                    usable = [one for one in rows if max(one[2], one[3]) <= now]
                    shelf.publish([row({"shop": s, "item": i}, event, known, **v) for s, i, event, known, v in usable])
                offline = shelf.offline(ENTITIES, later)
                assert {n: list(map(bits, c)) for n, c in online.items()} == {
                    n: list(map(bits, c)) for n, c in offline.items()
                }


@pytest.mark.parametrize(("hours_later", "value"), [(6, 1.0), (6 + 1e-6, None)])
def test_a_value_lives_exactly_as_long_as_its_ttl(shelf, hours_later, value):
    shelf.ttl_hours = 6
    shelf.publish([row(ANN, 1, 1, amount=1.0)])
    shelf.materialise(2)

    assert amounts(shelf, 1 + hours_later, ANN) == [value]
    assert shelf.offline([ANN], 1 + hours_later) == {"amount": [value]}
