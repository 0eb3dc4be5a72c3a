"""Which types a source may deliver for a declared one."""

from decimal import Decimal

import pyarrow as pa
import pytest

from mlops_assets.contract.types import SchemaChanged, conform, empty


def delivered(kind: str, array: pa.Array) -> pa.Array:
    return conform(pa.table({"c": array}), {"c": kind}, name="shop/orders")["c"].combine_chunks()


@pytest.mark.parametrize(
    ("kind", "array", "expected"),
    [
        ("BIGINT", pa.array([1], pa.int8()), pa.array([1], pa.int64())),
        ("SMALLINT", pa.array([300], pa.int64()), pa.array([300], pa.int16())),
        ("DOUBLE", pa.array([3], pa.int64()), pa.array([3.0])),
        ("DOUBLE", pa.array([0.5], pa.float32()), pa.array([0.5])),
        ("VARCHAR", pa.array(["a"], pa.large_string()), pa.array(["a"])),
        ("VARCHAR", pa.array(["a"], pa.string_view()), pa.array(["a"])),
        ("VARCHAR", pa.array(["a", None]).dictionary_encode(), pa.array(["a", None])),
        ("VARCHAR", pa.nulls(1), pa.array([None], pa.string())),
        ("BLOB", pa.array([b"a"], pa.large_binary()), pa.array([b"a"])),
        ("DATE", pa.array([86_400_000], pa.date64()), pa.array([1], pa.date32())),
        ("TIMESTAMPTZ", pa.array([1_999], pa.timestamp("ns", "Europe/Oslo")), pa.array([1], pa.timestamp("us", "UTC"))),
        ("TIMESTAMP", pa.array([1], pa.timestamp("s")), pa.array([1_000_000], pa.timestamp("us"))),
        ("DECIMAL(10, 2)", pa.array([7], pa.int32()), pa.array([Decimal("7.00")], pa.decimal128(10, 2))),
        ("BOOLEAN", pa.array([True]), pa.array([True])),
    ],
)
def test_the_same_value_in_another_width_is_cast(kind, array, expected):
    assert delivered(kind, array).equals(expected)


@pytest.mark.parametrize(
    ("kind", "array", "found"),
    [
        ("BIGINT", pa.array([1.0]), "type double"),
        ("BIGINT", pa.array(["1"]), "type string"),
        ("TINYINT", pa.array([300]), r"type int64 \(Integer value 300 not in range"),
        ("DOUBLE", pa.array([2**53 + 1]), "type int64"),
        ("FLOAT", pa.array([0.1]), "type double"),
        ("VARCHAR", pa.array([1]), "type int64"),
        ("DATE", pa.array([1], pa.timestamp("us")), "type timestamp"),
        ("TIMESTAMPTZ", pa.array([1], pa.timestamp("us")), "type timestamp"),
        ("TIMESTAMP", pa.array([1], pa.timestamp("us", "UTC")), "type timestamp"),
        ("BOOLEAN", pa.array([1]), "type int64"),
        ("DECIMAL(4, 2)", pa.array([Decimal("123.45")]), "type decimal128"),
    ],
)
def test_another_meaning_is_refused(kind, array, found):
    with pytest.raises(SchemaChanged, match=rf"shop/orders, column c: found {found}.*required .*as the contract says"):
        delivered(kind, array)


def test_an_absent_column_is_refused():
    with pytest.raises(SchemaChanged, match="column c: found only b; required BIGINT"):
        conform(pa.table({"b": [1]}), {"b": "BIGINT", "c": "BIGINT"}, name="shop/orders")


def test_undeclared_columns_follow_unless_they_hold_nothing_or_are_the_loaders():
    table = pa.table({"extra": ["x"], "void": pa.nulls(1), "_dlt_id": ["y"], "a": [1]})
    assert conform(table, {"a": "INTEGER"}, name="t").to_pydict() == {"a": [1], "extra": ["x"]}


def test_an_undeclared_column_may_not_take_the_name_of_a_quarantine_column():
    with pytest.raises(SchemaChanged, match="column load_id: found a new column of that name"):
        conform(pa.table({"a": [1], "load_id": [1]}), {"a": "BIGINT"}, name="t")


def test_an_empty_table_has_the_declared_types():
    assert empty({"a": "INTEGER", "b": "TIMESTAMPTZ"}).schema.types == [pa.int32(), pa.timestamp("us", "UTC")]
