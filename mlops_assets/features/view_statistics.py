"""What the features of a view look like over all its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import attach, connect, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mlops_assets.lake.tables import Snapshot


@dataclass(frozen=True)
class ColumnStatistics:
    """One feature; the numbers are None for what is not a number, or has no value.

    Attributes:
        distinct: Values that differ, null not counted.
    """

    null_share: float
    minimum: float | None
    mean: float | None
    maximum: float | None
    distinct: int


def statistics_of(snapshot: Snapshot, features: Sequence[str]) -> tuple[int, dict[str, ColumnStatistics]]:
    """Return the number of rows of a view's table, and the statistics of its features."""
    columns = ", ".join(_aggregates(name, snapshot.schema.field(name).type) for name in features)
    with connect() as con:
        attach(con, "view", snapshot)
        ((rows, *values),) = con.execute(f"select count(*), {columns} from view").fetchall()
    parts = [values[position : position + 5] for position in range(0, len(values), 5)]
    return rows, {
        name: ColumnStatistics((rows - count) / max(rows, 1), minimum, mean, maximum, distinct)
        for name, (count, minimum, mean, maximum, distinct) in zip(features, parts, strict=True)
    }


def _aggregates(name: str, kind: pa.DataType) -> str:
    from pyarrow import types

    column = quoted(name)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    value = f"{column}::double" if is_number else "null::double"
    return f"count({column}), min({value}), avg({value}), max({value}), count(distinct {column})"
