"""The spine: one row for each prediction, with its keys, time and outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.query import refuse_null_times, repeated, run_query
from mlops_assets.features.sources import open_sources
from mlops_assets.lake.engine import connect, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.lake.windows import Window

OWNER = "the spine"


class DuplicateSpineKeys(MlopsError):
    """Several rows of the spine have the same keys."""

    def __init__(self, keys: Sequence[str], examples: Sequence[Mapping[str, object]]) -> None:
        rows = "; ".join(", ".join(f"{name}={value}" for name, value in example.items()) for example in examples)
        super().__init__(
            f"{OWNER}, keys ({', '.join(keys)})",
            found=f"several rows for {rows}",
            required="one row per key",
            remedy="Name every column that tells predictions apart under `keys`, or remove the duplicates in the SQL.",
        )


def read_spine(
    con: duckdb.DuckDBPyConnection,
    definition: VectorDefinition,
    *,
    column: str,
    start: datetime | None,
    end: datetime,
) -> pa.Table:
    """Return the rows with `column` in [start, end) over the attached sources, in order of prediction time and keys.

    `label` is float64, or text where it names a class. Columns that nobody declared are kept.

    Raises:
        QueryFailed: The SQL does not run, or `label` is neither a number nor a boolean and does not name a class.
        MissingColumns: The result lacks a column that the model needs.
        NullTimes: `prediction_time` is null somewhere.
        DuplicateSpineKeys: Two rows share their keys.
    """
    from_start = f"{quoted(column)} >= $start and" if start else ""
    table = _rows(
        con,
        definition,
        where=f"{from_start} {quoted(column)} < $end or prediction_time is null",
        parameters={"start": start, "end": end} if start else {"end": end},
    )
    refuse_null_times(table, ["prediction_time"], owner=OWNER)
    if examples := repeated(con, table, definition.spine.keys):
        raise DuplicateSpineKeys(definition.spine.keys, examples)
    return table


def spine_at(con: duckdb.DuckDBPyConnection, definition: VectorDefinition, at: datetime) -> pa.Table:
    """Return the rows of one prediction time over sources that are cut; keys that the cut took away may repeat.

    Raises:
        QueryFailed: The SQL does not run.
        MissingColumns: The result lacks a column that the model needs.
    """
    return _rows(con, definition, where="prediction_time::timestamptz = $at", parameters={"at": at})


def window_spine(definition: VectorDefinition, *, lake: str, window: Window) -> pa.Table:
    """Return the spine of one window, as the newest raw tables have it."""
    with connect() as con:
        open_sources(con, lake, definition.spine.sources)
        return read_spine(con, definition, column=definition.window_column, start=window.start, end=window.end)


def _rows(
    con: duckdb.DuckDBPyConnection, definition: VectorDefinition, *, where: str, parameters: Mapping[str, object]
) -> pa.Table:
    return run_query(
        con,
        definition.spine_sql,
        owner=OWNER,
        required=definition.spine_columns,
        casts=definition.spine_types,
        where=where,
        parameters=parameters,
        order=["prediction_time", *definition.spine.keys],
    )
