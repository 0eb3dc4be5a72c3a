"""One feature view, computed whole: the person's query, its checks, one commit with where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.query import refuse_null_times, repeated, run_query
from mlops_assets.features.sources import open_sources
from mlops_assets.features.spec import TIMES, definition_hash
from mlops_assets.lake import tables
from mlops_assets.lake.engine import connect
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


@dataclass(frozen=True)
class ColumnStatistics:
    """One feature over all rows of its view; the numbers are None for what is not a number, or has no value."""

    null_share: float
    minimum: float | None
    mean: float | None
    maximum: float | None


@dataclass(frozen=True)
class Refreshed:
    """A view after a refresh.

    Attributes:
        uri: Its table.
        version: Version of the commit.
        source_versions: Version read of each `source/table`.
        statistics: By feature.
    """

    uri: str
    version: int
    rows: int
    source_versions: dict[str, int]
    statistics: dict[str, ColumnStatistics]


def compute_view(con: duckdb.DuckDBPyConnection, spec: FeatureViewSpec, sql_text: str) -> pa.Table:
    """Return the rows of a view over its attached sources: entity, times, features, in order of entity and time.

    Raises:
        QueryFailed: The SQL does not run.
        MissingColumns: The result lacks a column of the view.
        NullTimes: `event_timestamp` or `known_at` is null somewhere.
        DuplicateFeatureRows: Two rows share entity, `event_timestamp` and `known_at`.
    """
    table = _rows(con, spec, sql_text)
    refuse_null_times(table, TIMES, owner=_owner(spec))
    key = _key(spec)
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


def refresh_view(spec: FeatureViewSpec, sql_text: str, *, lake: str) -> Refreshed:
    """Compute a view over the newest raw tables and publish it whole, with its definition and source versions.

    Raises:
        TableNotFound: A source was never published.
        MlopsError: See `compute_view`.
    """
    uri = view_uri(lake, spec.name)
    with connect() as con:
        versions = open_sources(con, lake, spec.sources)
        table = compute_view(con, spec, sql_text)
        statistics = {name: _statistics(table, name) for name in spec.features}
    properties = {DEFINITION: definition_hash(spec, sql_text), SOURCES: json.dumps(versions, sort_keys=True)}
    version = tables.overwrite(uri, table, properties=properties)
    return Refreshed(uri, version, table.num_rows, versions, statistics)


def view_uri(lake: str, view: str) -> str:
    """Return where the table of a view is."""
    return join(lake, "features", view)


def _rows(con: duckdb.DuckDBPyConnection, spec: FeatureViewSpec, sql_text: str, *, where: str = "true") -> pa.Table:
    casts = dict.fromkeys([*TIMES], "timestamptz")
    rows = run_query(
        con, sql_text, owner=_owner(spec), required=spec.columns, casts=casts, where=where, order=_key(spec)
    )
    return rows.select(spec.columns)


def _owner(spec: FeatureViewSpec) -> str:
    return f"features/{spec.name}"


def _key(spec: FeatureViewSpec) -> list[str]:
    return [*spec.entity, *TIMES]


def _statistics(table: pa.Table, name: str) -> ColumnStatistics:
    import pyarrow as pa

    column = table[name]
    null_share = column.null_count / max(table.num_rows, 1)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return ColumnStatistics(null_share, None, None, None)
    values = column.drop_null().cast(pa.float64(), safe=False).to_numpy()
    if not len(values):
        return ColumnStatistics(null_share, None, None, None)
    return ColumnStatistics(null_share, float(values.min()), float(values.mean()), float(values.max()))
