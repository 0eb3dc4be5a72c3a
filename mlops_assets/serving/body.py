"""Request bodies: the three shapes of MLflow's scoring protocol, read as columns."""

from __future__ import annotations

from typing import Any

import msgspec

from mlops_assets.serving.problems import BODY, NotJson, WrongShape

Cell = str | int | float | bool | None
Record = dict[str, Cell]


class Split(msgspec.Struct):
    """Rows as lists, in the order of `columns`; an index is allowed and ignored."""

    columns: list[str]
    data: list[list[Cell]]


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """Exactly one of the three."""

    dataframe_records: list[Record] | None = None
    dataframe_split: Split | None = None
    instances: list[Record] | None = None


SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": f"Exactly one of {BODY}. A feature that is left out counts as unknown.",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        **{
            name: {
                "type": "array",
                "items": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
            }
            for name in ("dataframe_records", "instances")
        },
        "dataframe_split": {
            "type": "object",
            "required": ["columns", "data"],
            "properties": {
                "columns": {"type": "array", "items": {"type": "string"}},
                "data": {
                    "type": "array",
                    "items": {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}},
                },
            },
        },
    },
}


def read_columns(data: bytes) -> tuple[dict[str, list[Cell]], int]:
    """Return the columns of a body and its number of rows; a key that a record lacks is null.

    Raises:
        NotJson: The body is not JSON.
        WrongShape: It is not one of the three shapes.
    """
    try:
        body = msgspec.json.decode(data, type=Body)
    except msgspec.ValidationError as error:
        raise WrongShape(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(str(error)) from error
    given = [name for name in body.__struct_fields__ if getattr(body, name) is not None]
    if len(given) != 1:
        raise WrongShape(" and ".join(given) or "none of them")
    if body.dataframe_split is not None:
        return _from_split(body.dataframe_split), len(body.dataframe_split.data)
    records = body.dataframe_records if body.dataframe_records is not None else body.instances or []
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}, len(records)


def _from_split(split: Split) -> dict[str, list[Cell]]:
    width = len(split.columns)
    if len(set(split.columns)) != width:
        twice = next(name for name in split.columns if split.columns.count(name) > 1)
        raise WrongShape(f"{twice} twice", field="dataframe_split.columns", required="each column once")
    for number, row in enumerate(split.data):
        if len(row) != width:
            raise WrongShape(
                f"{len(row)} values", field=f"dataframe_split.data[{number}]", required=f"{width}, one per column"
            )
    return {name: [row[place] for row in split.data] for place, name in enumerate(split.columns)}
