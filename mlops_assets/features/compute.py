"""The rows of one feature view: the person's query over attached sources, and what is refused of its result.

Keep out: which part of a view a refresh computes (`incremental.py`), and its table (`refresh.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.query import refuse_null_times, repeated, run_query
from mlops_assets.features.spec import TIMES
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.spec import FeatureViewSpec

DEFINITION, SOURCES = "definition", "sources"


class DuplicateFeatureRows(MlopsError):
    """Two rows of a view say something about the same entity, for the same time, known at the same time."""

    def __init__(self, view: str, columns: Sequence[str], examples: Sequence[Mapping[str, object]]) -> None:
        rows = "; ".join(", ".join(f"{name}={value}" for name, value in example.items()) for example in examples)
        super().__init__(
            f"features/{view}",
            found=f"several rows for one ({', '.join(columns)}): {rows}",
            required="one row each, or the join could not choose",
            remedy="Aggregate in the SQL, or correct `event_timestamp` or `known_at`.",
        )


def compute_view(
    con: duckdb.DuckDBPyConnection, spec: FeatureViewSpec, sql_text: str, *, start: datetime | None = None
) -> pa.Table:
    """Return the rows of a view over its attached sources: entity, times, features, in order of entity and time.

    Args:
        start: Leave out rows whose `event_timestamp` is earlier.

    Raises:
        QueryFailed: The SQL does not run.
        MissingColumns: The result lacks a column of the view.
        NullTimes: `event_timestamp` or `known_at` is null somewhere.
        DuplicateFeatureRows: Two rows share entity, `event_timestamp` and `known_at`.
    """
    where = "(event_timestamp::timestamptz >= $start) is not false" if start else "true"
    table = _rows(con, spec, sql_text, where=where, parameters={"start": start} if start else {})
    refuse_null_times(table, TIMES, owner=_owner(spec))
    key = key_of(spec)
    if examples := repeated(con, table, key):
        raise DuplicateFeatureRows(spec.name, key, examples)
    return table


def known_rows(con: duckdb.DuckDBPyConnection, spec: FeatureViewSpec, sql_text: str) -> pa.Table:
    """Return the rows of a view over sources that are cut: what lost its time with the cut was not known yet.

    Raises:
        QueryFailed: The SQL does not run.
        MissingColumns: The result lacks a column of the view.
    """
    return _rows(con, spec, sql_text, where=" and ".join(f"{time} is not null" for time in TIMES))


def view_uri(lake: str, view: str) -> str:
    """Return where the table of a view is."""
    return join(lake, "features", view)


def key_of(spec: FeatureViewSpec) -> list[str]:
    """Return the columns that no two rows of a view share."""
    return [*spec.entity, *TIMES]


def _rows(
    con: duckdb.DuckDBPyConnection,
    spec: FeatureViewSpec,
    sql_text: str,
    *,
    where: str,
    parameters: Mapping[str, object] | None = None,
) -> pa.Table:
    rows = run_query(
        con,
        sql_text,
        owner=_owner(spec),
        required=spec.columns,
        casts=dict.fromkeys(TIMES, "timestamptz"),
        where=where,
        parameters=parameters,
        order=key_of(spec),
    )
    return rows.select(spec.columns)


def _owner(spec: FeatureViewSpec) -> str:
    return f"features/{spec.name}"
