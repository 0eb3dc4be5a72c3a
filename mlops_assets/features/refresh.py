"""One feature view brought up to date: one commit with where its rows came from, or none if they are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.changes import RawTables
from mlops_assets.features.compute import compute_view, view_uri
from mlops_assets.features.definition import View
from mlops_assets.features.incremental import Scope, rows_from, scope_of
from mlops_assets.features.sources import open_sources
from mlops_assets.features.stored import ViewFacts, blocks_before, blocks_of, read_facts
from mlops_assets.features.view_statistics import ColumnStatistics, statistics_of
from mlops_assets.lake import tables
from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.engine import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.spec import FeatureViewSpec


@dataclass(frozen=True)
class Refreshed:
    """A view after a refresh.

    Attributes:
        uri: Its table.
        version: Version of the table that holds the rows.
        is_new: Whether this refresh committed it; otherwise the rows are as they were.
        source_versions: Version read of each `source/table`.
        statistics: By feature.
        scope: What was computed, and why.
        data_version: Identity of the rows.
    """

    uri: str
    version: int
    is_new: bool
    rows: int
    source_versions: dict[str, int]
    statistics: dict[str, ColumnStatistics]
    scope: Scope
    data_version: str


@dataclass(frozen=True)
class _Outcome:
    """What one attempt found out.

    Attributes:
        rows: What to write; None if nothing changed.
        facts: What the table says about itself afterwards.
    """

    scope: Scope
    facts: ViewFacts
    rows: pa.Table | None
    versions: dict[str, int]


def refresh_view(
    spec: FeatureViewSpec,
    sql_text: str,
    *,
    lake: str,
    time_columns: Mapping[str, str | None] | None = None,
    full: bool = False,
) -> Refreshed:
    """Bring a view up to the newest raw tables. Equal rows make no commit.

    Args:
        time_columns: The column that dates a row, by `source/table`; a view with `lookback_days` needs it.
        full: Compute everything, whatever changed.

    Raises:
        TableNotFound: A source was never published.
        MlopsError: See `compute_view`.
    """
    uri, view = view_uri(lake, spec.name), View(spec, sql_text)
    outcomes: list[_Outcome] = []

    def plan(version: int | None) -> Write | None:
        outcomes.append(_attempt(view, uri, version, lake=lake, time_columns=time_columns or {}, full=full))
        return _write(outcomes[-1])

    version = commit(uri, plan)
    assert version is not None  # a first refresh writes
    done = outcomes[-1]
    rows, statistics = statistics_of(tables.snapshot(uri, version), list(spec.features))
    return Refreshed(
        uri=uri,
        version=version,
        is_new=done.rows is not None,
        rows=rows,
        source_versions=done.versions,
        statistics=statistics,
        scope=done.scope,
        data_version=done.facts.data_version,
    )


def _attempt(
    view: View, uri: str, version: int | None, *, lake: str, time_columns: Mapping[str, str | None], full: bool
) -> _Outcome:
    import duckdb

    stored, engine = read_facts(uri, version), f"duckdb {duckdb.__version__}"
    with connect() as con:
        versions = open_sources(con, lake, view.spec.sources)
        raw = RawTables(lake, versions, time_columns)
        scope = Scope("full", "asked for") if full else scope_of(con, view, stored, raw, engine=engine)
        if stored is not None and scope.mode == "unchanged":
            return _Outcome(scope, stored, None, versions)
        scope, table = _computed(con, view, scope, raw, uri=uri, version=version)
    kept = blocks_before(stored.blocks, scope.start) if stored and scope.start else {}
    facts = ViewFacts(view.definition, versions, engine, {**kept, **blocks_of(table)})
    is_same = stored is not None and stored.says_the_same(facts)
    return _Outcome(scope, facts, None if is_same else table, versions)


def _computed(
    con: duckdb.DuckDBPyConnection, view: View, scope: Scope, raw: RawTables, *, uri: str, version: int | None
) -> tuple[Scope, pa.Table]:
    """Return the rows of a scope, which becomes full if less does not do."""
    if scope.start is not None:
        try:
            return scope, rows_from(con, view, scope.start, raw, held=tables.snapshot(uri, version))
        except MlopsError as error:
            scope = Scope("full", str(error))
            open_sources(con, raw.lake, view.spec.sources, versions=raw.versions)
    return scope, compute_view(con, view.spec, view.sql)


def _write(outcome: _Outcome) -> Write | None:
    if outcome.rows is None:
        return None
    facts, start = outcome.facts.properties(), outcome.scope.start
    if start is None:
        return Write(outcome.rows, schema_mode="overwrite", properties=facts)
    return Write(outcome.rows, predicate=f"event_timestamp >= '{start.isoformat()}'", properties=facts)
