"""Declared column types against what a source delivers: the same value in another width is cast, another type is refused.

Keep out: values. Rules about them are the audit's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.contract.names import RESERVED_COLUMNS
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

DLT_TYPES = {
    "BOOLEAN": "bool",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT"), "bigint"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "double"),
    "VARCHAR": "text",
    "BLOB": "binary",
    "DATE": "date",
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPTZ"), "timestamp"),
}


class SchemaChanged(MlopsError):
    """A source delivers a column in another type than its contract says, or no longer delivers it."""

    def __init__(self, table: str, column: str, *, found: str, required: str) -> None:
        self.column = column
        super().__init__(
            f"{table}, column {column}",
            found=found,
            required=f"{required}, as the contract says",
            remedy="Nothing was published. Mend the source, or change the column in the contract.",
        )


def arrow_type(declared: str) -> pa.DataType:
    """Return the Arrow type of a declared column type."""
    import pyarrow as pa

    if declared.startswith("DECIMAL"):
        precision, scale = (int(part) for part in declared.removeprefix("DECIMAL(").removesuffix(")").split(","))
        return pa.decimal128(precision, scale)
    plain = {
        "BOOLEAN": pa.bool_(),
        "TINYINT": pa.int8(),
        "SMALLINT": pa.int16(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "FLOAT": pa.float32(),
        "DOUBLE": pa.float64(),
        "VARCHAR": pa.string(),
        "BLOB": pa.binary(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us"),
        "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    }
    return plain[declared]


def dlt_type(declared: str) -> dict[str, Any]:
    """Return the column hints that make dlt coerce rows of Python values to a declared type."""
    if declared.startswith("DECIMAL"):
        kind = arrow_type(declared)
        return {"data_type": "decimal", "precision": kind.precision, "scale": kind.scale}
    return {"data_type": DLT_TYPES[declared], "timezone": declared != "TIMESTAMP"}


def empty(columns: Mapping[str, str]) -> pa.Table:
    """Return a table of the declared columns without rows."""
    import pyarrow as pa

    return pa.schema([(name, arrow_type(kind)) for name, kind in columns.items()]).empty_table()


def conform(table: pa.Table, columns: Mapping[str, str], *, name: str) -> pa.Table:
    """Return the declared columns in their types, then the undeclared ones that hold any value.

    Raises:
        SchemaChanged: A declared column is absent or of another type, or an undeclared one has a reserved name.
    """
    import pyarrow as pa

    declared = {column: _conformed(table, column, kind, name) for column, kind in columns.items()}
    extra = {
        column: _plain(table[column])
        for column in table.column_names
        if column not in columns and not column.startswith("_dlt") and not pa.types.is_null(table[column].type)
    }
    if reserved := sorted(RESERVED_COLUMNS & set(extra)):
        raise SchemaChanged(name, reserved[0], found="a new column of that name", required="another name for it")
    return pa.table({**declared, **extra})


def _conformed(table: pa.Table, column: str, declared: str, name: str) -> pa.ChunkedArray:
    import pyarrow as pa

    if column not in table.column_names:
        raise SchemaChanged(name, column, found=f"only {', '.join(table.column_names)}", required=declared)
    array, required = _decoded(table[column]), arrow_type(declared)
    if not _is_same_kind(array.type, required):
        raise SchemaChanged(name, column, found=f"type {array.type}", required=declared)
    try:
        if pa.types.is_decimal(
            required
        ):  # by way of room enough: Arrow counts the digits of the type, not of the values
            array = array.cast(pa.decimal128(38, required.scale))
        return array.cast(required, safe=not pa.types.is_timestamp(required))  # the lake keeps microseconds
    except pa.ArrowInvalid as error:
        raise SchemaChanged(name, column, found=f"type {array.type} ({error})", required=declared) from error


def _decoded(array: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _plain(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values in the type in which the lake gives them back, so that only a change looks like one."""
    import pyarrow as pa

    array = _decoded(array)
    if _is_text(array.type):
        return array.cast(pa.string())
    if _is_bytes(array.type):
        return array.cast(pa.binary())
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.timestamp("us", "UTC" if array.type.tz else None), safe=False)
    return array


def _is_same_kind(found: pa.DataType, required: pa.DataType) -> bool:
    """Tell whether values of one type mean the same in the other; whether they fit is the cast's business."""
    from pyarrow import types

    if found == required or types.is_null(found):
        return True
    if types.is_timestamp(required):
        return types.is_timestamp(found) and (found.tz is None) == (required.tz is None)
    if types.is_decimal(required):
        return types.is_decimal(found) or types.is_integer(found)
    if types.is_floating(required):
        return types.is_integer(found) or (types.is_floating(found) and found.bit_width <= required.bit_width)
    families = (types.is_integer, types.is_date, _is_text, _is_bytes)
    return any(is_kind(found) and is_kind(required) for is_kind in families)


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    from pyarrow import types

    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
