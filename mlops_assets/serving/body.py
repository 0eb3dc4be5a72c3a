"""Request bodies as rows: the three shapes of MLflow's scoring protocol in JSON, and CSV with a header (`csv_body.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.predictor.signature import Kind
from mlops_assets.serving.problems import NotJson, UnknownColumn, WrongShape, WrongValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Cell = str | int | float | bool | None
Record = dict[str, Cell]
ColumnType = Kind | Literal["integer", "any"]

LARGEST = 2**63
NUMBERS = {int, float}
LARGEST_NUMBER = 1e30  # models compute in float32: what they make of a larger one is not finite
ALLOWED: dict[ColumnType, set[type]] = {
    "numeric": {int, float, bool, type(None)},
    "categorical": {str, type(None)},
    "integer": {int, type(None)},
    "any": {str, int, float, bool, type(None)},
}
REQUIRED: dict[ColumnType, str] = {
    "numeric": "a number, true, false or null",
    "categorical": "text or null",
    "integer": "a whole number or null",
    "any": "a plain value",
}
CSV = "text/csv"
IDS = ("event_id", "inference_id")


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """Rows as lists, in the order of `columns`; an index is allowed and ignored."""

    columns: list[str]
    data: list[list[Cell]]
    index: list[Cell] | msgspec.UnsetType = msgspec.UNSET


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of the three."""

    dataframe_records: list[Record] | msgspec.UnsetType = msgspec.UNSET
    dataframe_split: Split | msgspec.UnsetType = msgspec.UNSET
    instances: list[Record] | msgspec.UnsetType = msgspec.UNSET


_decode = decoder(Body).decode


def read_rows(data: bytes, content_type: str, columns: Mapping[str, ColumnType] | None = None) -> list[Record]:
    """Return the rows of a body, each with the columns that it has.

    Args:
        content_type: The header; `text/csv` is CSV, anything else is read as JSON.
        columns: What the model knows (`Served.columns`): other columns are refused, apart from `IDS`, and cells of CSV
            become numbers or text accordingly. Without it every column is taken, and cells of CSV are text.

    Raises:
        NotJson: The body is not JSON.
        NotCsv: It is no CSV.
        WrongShape: It is JSON of none of the three shapes, or a line of CSV has not one cell a column.
        UnknownColumn: A column is none that the model knows.
        WrongValue: A value does not fit its column.
    """
    if content_type.partition(";")[0].strip().lower() == CSV:
        from mlops_assets.serving.csv_body import read_csv

        return read_csv(data, columns)
    rows = _read_json(data)
    if columns is not None:
        for place, row in enumerate(rows):
            _check(row, columns, place)
    return rows


def _check(row: Record, columns: Mapping[str, ColumnType], place: int) -> None:
    """Refuse columns that the model does not know, and values that they cannot have."""
    for name, value in row.items():
        kind = columns.get(name)
        if kind is None:
            require_known((name,), columns)
        elif type(value) not in ALLOWED[kind] or (
            type(value) in NUMBERS and not -LARGEST < value < LARGEST  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
        ):
            row[name] = _converted(name, value, kind, place)


def _converted(name: str, value: Cell, kind: ColumnType, place: int) -> Cell:
    """Return a value as its column has it: 7.0 as 7 where a whole number is required, a huge integer as a float.

    Raises:
        WrongValue: The column cannot have it.
    """
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind in ("numeric", "any") and isinstance(value, int | float):
        if -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
            return float(value)
        raise WrongValue(name, found=f"{value} in row {place}", required=f"a number within {LARGEST_NUMBER:g} of 0")
    raise WrongValue(name, found=f"{value!r} in row {place}", required=REQUIRED[kind])


def require_known(names: Iterable[str], columns: Mapping[str, ColumnType]) -> None:
    """Refuse a column that the model does not know.

    Raises:
        UnknownColumn: There is one.
    """
    for name in names:
        if name not in columns and name not in IDS:
            raise UnknownColumn(name, columns)


def require_once(names: Sequence[str], *, field: str) -> None:
    """Refuse a column that is there twice.

    Raises:
        WrongShape: One is.
    """
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise WrongShape(f"{twice} twice", field=field, required="each column once")


def _read_json(data: bytes) -> list[Record]:
    try:
        body = _decode(data)
    except msgspec.ValidationError as error:
        raise WrongShape(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error
    given = [name for name in body.__struct_fields__ if getattr(body, name) is not msgspec.UNSET]
    if len(given) != 1:
        raise WrongShape(" and ".join(given) or "none of them")
    if body.dataframe_split is not msgspec.UNSET:
        return _from_split(body.dataframe_split)
    return body.dataframe_records or body.instances or []


def _from_split(split: Split) -> list[Record]:
    columns, width = split.columns, len(split.columns)
    require_once(columns, field="dataframe_split.columns")
    for number, row in enumerate(split.data):
        if len(row) != width:
            raise WrongShape(
                f"{len(row)} values", field=f"dataframe_split.data[{number}]", required=f"{width}, one per column"
            )
    return [dict(zip(columns, row, strict=True)) for row in split.data]
