"""The JSON schema of what a model takes, from the columns that its arms know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.body import IDS, LARGEST, LARGEST_NUMBER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.serving.body import ColumnType

CELLS: dict[ColumnType, list[str]] = {
    "numeric": ["number", "boolean", "null"],
    "integer": ["integer", "null"],
    "categorical": ["string", "null"],
    "any": ["string", "number", "boolean", "null"],
}
CSV_CELLS: dict[ColumnType, str] = {
    "numeric": "(-?[0-9]{1,9}([.][0-9]{1,6})?)?",
    "integer": "(-?[0-9]{1,9})?",
    "categorical": "[A-Za-z0-9_ -]{0,20}",
    "any": "[A-Za-z0-9_ -]{0,20}",
}
MOST_LINES = 1000


def record_schema(columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Return the schema of one row; what is left out counts as unknown."""
    named = {name: cell_schema(kind) for name, kind in columns.items()}
    ids = {name: {"type": CELLS["any"]} for name in IDS if name not in named}
    return {"type": "object", "additionalProperties": False, "properties": named | ids}


def cell_schema(kind: ColumnType) -> dict[str, Any]:
    """Return the schema of one value."""
    limits: dict[str, Any] = {"minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER}
    if kind == "integer":
        limits = {"minimum": 1 - LARGEST, "maximum": LARGEST - 1}
    return {"type": CELLS[kind], **({} if kind == "categorical" else limits)}


def body_schema(columns: Mapping[str, ColumnType], record: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a JSON body: exactly one of the three shapes.

    Columns of a `dataframe_split` may come in any order and number; the schema shows them all, in one.

    Args:
        record: The schema of a row, or a reference to it.
    """
    names, cells = list(columns), [cell_schema(kind) for kind in columns.values()]
    row = {"type": "array", "prefixItems": cells, "minItems": len(cells), "maxItems": len(cells)}
    split = {
        "type": "object",
        "additionalProperties": False,
        "required": ["columns", "data"],
        "properties": {
            "columns": {"const": names},
            "data": {"type": "array", "items": row},
            "index": {"type": "array", "items": {"type": CELLS["any"]}},
        },
    }
    records = {"type": "array", "items": record}
    shapes = {"dataframe_records": records, "instances": records, "dataframe_split": split}
    return {
        "oneOf": [
            {"type": "object", "additionalProperties": False, "required": [name], "properties": {name: shape}}
            for name, shape in shapes.items()
        ]
    }


def csv_schema(columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    """Return the schema of a CSV body, all columns in one order; quotes and longer numbers are read as well."""
    line = ",".join(CSV_CELLS[kind] for kind in columns.values())
    header = re.escape(",".join(columns))
    return {"type": "string", "pattern": f"^{header}\\n({line}\\n){{0,{MOST_LINES}}}$"}
