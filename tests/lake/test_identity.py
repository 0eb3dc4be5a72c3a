"""One hash per content: equal tables agree however they are laid out, different ones do not."""

import datetime as dt
import hashlib
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlops_assets.lake.identity import identity

cells = st.tuples(
    st.none() | st.integers(-5, 5),
    st.none() | st.text("aé", max_size=3),
    st.none() | st.booleans(),
    st.none() | st.sampled_from([0.0, 1.5, -2.25]),
    st.none() | st.lists(st.none() | st.integers(0, 3), max_size=2),
    st.none() | st.fixed_dictionaries({"q": st.none() | st.integers(0, 2)}),
)
TYPES = [pa.int64(), pa.string(), pa.bool_(), pa.float64(), pa.list_(pa.int64()), pa.struct([("q", pa.int64())])]


def build(rows: list[tuple]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(TYPES)
    return pa.table({f"c{n}": pa.array(values, TYPES[n]) for n, values in enumerate(columns)})


@given(before=st.lists(cells, max_size=9), rows=st.lists(cells, max_size=9), after=st.lists(cells, max_size=9))
def test_slices_and_chunks_do_not_matter(before, rows, after):
    alone = build(rows)
    slice_of_more = build([*before, *rows, *after]).slice(len(before), len(rows))
    assert identity(slice_of_more) == identity(alone)
    assert identity(pa.concat_tables([alone.slice(0, 2), alone.slice(2)])) == identity(alone)


@given(one=st.lists(cells, max_size=3), other=st.lists(cells, max_size=3))
def test_other_content_has_another_identity(one, other):
    assume(one != other)
    assert identity(build(one)) != identity(build(other))


def test_encodings_of_the_same_text_agree():
    plain = pa.table({"s": pa.array(["x", None, "yé", "x"])})
    for layout in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        assert identity(plain.cast(pa.schema([("s", layout)]))) == identity(plain)


def test_values_behind_nulls_do_not_matter():
    values = pa.py_buffer(bytes([1, 0, 0, 0, 9, 0, 0, 0]))
    hidden = pa.Array.from_buffers(pa.int32(), 2, [pa.py_buffer(b"\x01"), values])
    assert identity(pa.table({"a": hidden})) == identity(pa.table({"a": pa.array([1, None], pa.int32())}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1], pa.int32()), pa.array([1], pa.int64())),
        (pa.array([0], pa.int64()), pa.array([None], pa.int64())),
        (pa.array(["ab", ""]), pa.array(["a", "b"])),
        (pa.array([""]), pa.array([None], pa.string())),
        (pa.array([Decimal("1.50")]), pa.array([Decimal("1.51")])),
        (pa.array([0], pa.timestamp("us")), pa.array([0], pa.timestamp("us", "UTC"))),
        (pa.array([dt.date(2013, 1, 1)]), pa.array([dt.date(2013, 1, 2)])),
        (pa.array([[1, 2], []]), pa.array([[1], [2]])),
    ],
)
def test_small_differences_count(one, other):
    assert identity(pa.table({"a": one})) != identity(pa.table({"a": other}))


def test_column_names_and_order_of_rows_count():
    assert identity(pa.table({"a": [1]})) != identity(pa.table({"b": [1]}))
    assert identity(pa.table({"a": [1, 2]})) != identity(pa.table({"a": [2, 1]}))


def test_the_identity_is_the_hash_of_bytes_that_can_be_written_by_hand():
    table = pa.table({"a": pa.array([1, None], pa.int64()), "s": pa.array(["x", "yz"])})
    column_a = b"a\0int64\0" + b"2\0" + bytes([0b10000000]) + (1).to_bytes(8, "little") + bytes(8)
    lengths = (1).to_bytes(8, "little") + (2).to_bytes(8, "little")
    column_s = b"s\0large_string\0" + b"2\0" + bytes([0b11000000]) + lengths + b"xyz"
    assert identity(table) == hashlib.sha256(column_a + column_s).hexdigest()
