"""Training-serving skew: logged predictions computed again by today's offline path, and compared value by value.

A log is any table with the keys of the spine, `prediction_time`, the entities, the request's inputs and the features that
the model saw. What the online store had may be older than the request: `features_as_of`, if the log has it, says for each
row up to when the store was filled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.comparison import ROW, compare
from mlops_assets.features.leak_finding import SPINE_ROW
from mlops_assets.features.vectors import assemble, open_views
from mlops_assets.lake.engine import attach_arrow, connect, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.comparison import Difference
    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.features.join import JoinedView

AS_OF = "features_as_of"
LOG_ROW = "row of log"


class IncompleteLog(MlopsError):
    """A log lacks columns that are needed to compute its rows again."""

    def __init__(self, missing: Sequence[str], found: Sequence[str]) -> None:
        super().__init__(
            "The prediction log",
            found=f"columns {', '.join(found)}",
            required=f"also {', '.join(missing)}",
            remedy="Log the keys, entities and inputs of each request, or score the window again.",
        )


@dataclass(frozen=True)
class SkewFinding:
    """A feature that the model saw with another value than the offline path gives.

    Attributes:
        feature: Its name, or `the row of the spine` for predictions that the spine does not have.
        rows: Rows that differ.
        nulls: Those of them where one side alone is null.
        largest_error: Largest difference of a number; None for text, nulls and missing rows.
        example: One such row: its keys, what was logged, what is computed.
    """

    feature: str
    rows: int
    nulls: int
    largest_error: float | None
    example: str

    def __str__(self) -> str:
        error = "" if self.largest_error is None else f", by up to {self.largest_error:.4g}"
        nulls = f", {self.nulls} of them null on one side" if self.nulls else ""
        return f"{self.feature}: {self.rows} rows differ{error}{nulls} ({self.example})"


@dataclass(frozen=True)
class Skew:
    """What the replay found.

    Attributes:
        logged_rows: Rows of the log.
        checked_rows: Those that were computed again.
        compared: Columns that were compared.
        not_logged: Features of today's definition that the log does not have.
    """

    findings: tuple[SkewFinding, ...]
    logged_rows: int
    checked_rows: int
    compared: tuple[str, ...]
    not_logged: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.findings


def check_skew(
    logged: pa.Table,
    definition: VectorDefinition,
    *,
    lake: str,
    samples: int,
    seed: int,
    spine: pa.Table | None = None,
) -> Skew:
    """Compute logged rows again from the newest views and the request function, and compare what the model saw.

    Args:
        samples: How many rows at most; the same rows of the same log each time.
        seed: Decides which.
        spine: The rows that the predictions were about, as the offline path has them now, so that inputs and times are
            compared too. None: the log is all there is, and its inputs are taken as they came.

    Raises:
        IncompleteLog: The log lacks a column that is needed.
        StaleView: A view was computed by another definition than today's.
        MlopsError: See `open_views` and `assemble`.
    """
    sample = _sample(logged, definition.spine.keys, samples, seed)
    with connect() as con:
        rows = _rows(con, sample, definition, spine)
        table, features = _replayed(con, rows, definition, lake=lake)
        names = [*definition.request.inputs, *features, *(["prediction_time"] if spine is not None else [])]
        shared = [name for name in dict.fromkeys(names) if name in logged.column_names]
        found = compare(con, sample, table, keys=[LOG_ROW, *definition.spine.keys], names=shared)
    missing = tuple(name for name in features if name not in logged.column_names)
    return Skew(tuple(map(_finding, found)), logged.num_rows, sample.num_rows, tuple(shared), missing)


def _sample(logged: pa.Table, keys: Sequence[str], samples: int, seed: int) -> pa.Table:
    """Return some rows of a log with their number, chosen alike in whatever order the log is read."""
    import numpy as np
    import pyarrow as pa

    _require(logged, ["prediction_time", *keys])
    ordered = logged.sort_by([(name, "ascending") for name in ("prediction_time", *keys)])
    chosen = np.random.default_rng(seed).choice(len(ordered), min(samples, len(ordered)), replace=False)
    return ordered.take(pa.array(np.sort(chosen))).append_column(LOG_ROW, pa.array(np.arange(len(chosen))))


def _rows(
    con: duckdb.DuckDBPyConnection, sample: pa.Table, definition: VectorDefinition, spine: pa.Table | None
) -> pa.Table:
    """Return what the predictions are computed from: rows of the spine, or what the log says of them."""
    keys = definition.spine.keys
    entities = [column for view in definition.views for column in view.spec.entity]
    as_of = [AS_OF] if AS_OF in sample.column_names else []
    needed = list(dict.fromkeys(["prediction_time", *keys, *entities, *definition.request.inputs]))
    if spine is None:
        _require(sample, needed)
        return sample.select([*needed, *as_of, LOG_ROW])
    attach_arrow(con, "logged keys", sample.select([*keys, *as_of, LOG_ROW]))
    attach_arrow(con, "spine rows", spine.select(needed))
    same = " and ".join(f"s.{quoted(key)} is not distinct from l.{quoted(key)}" for key in keys)
    columns = ", ".join(f"l.{quoted(name)}" for name in [*as_of, LOG_ROW])
    return con.sql(
        f'select s.*, {columns} from "logged keys" l join "spine rows" s on {same} order by l.{quoted(LOG_ROW)}'
    ).to_arrow_table()


def _replayed(
    con: duckdb.DuckDBPyConnection, rows: pa.Table, definition: VectorDefinition, *, lake: str
) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the rows with their features, and the names of these."""
    views = [view.joined for view in open_views(con, lake, definition)]
    if AS_OF not in rows.column_names:
        vectors = assemble(con, rows, definition, views)
        return vectors.table, vectors.features
    known = assemble(con, _as_of(con, rows), definition, [_dated(con, view) for view in views])
    return _fresh(con, known.table, views), known.features


def _as_of(con: duckdb.DuckDBPyConnection, rows: pa.Table) -> pa.Table:
    """Return the rows at the time up to which the store was filled, never later than their own."""
    attach_arrow(con, "asked", rows)
    return con.sql(f"""
        select * replace (least(prediction_time, {quoted(AS_OF)}) as prediction_time), prediction_time as "asked at"
        from asked order by {quoted(LOG_ROW)}
    """).to_arrow_table()


def _dated(con: duckdb.DuckDBPyConnection, view: JoinedView) -> JoinedView:
    """Return a view that also gives what time its row is about: ttl counts from the request, not from the store."""
    name = f"{view.relation}, dated"
    con.execute(f"""
        create or replace temp view {quoted(name)} as
        select *, event_timestamp as {quoted(_time_of(view))} from {quoted(view.relation)}
    """)
    return replace(view, relation=name, features=(*view.features, _time_of(view)))


def _fresh(con: duckdb.DuckDBPyConnection, known: pa.Table, views: Sequence[JoinedView]) -> pa.Table:
    """Return the rows at their own time, features older than their ttl by then as nulls."""
    attach_arrow(con, "known", known)
    kept = {name: _kept(view, name) for view in views for name in view.features}
    values = ", ".join(
        f"{value} as {quoted(name)}" for name, value in {**kept, "prediction_time": '"asked at"'}.items()
    )
    return con.sql(f"select * replace ({values}) from known order by {quoted(LOG_ROW)}").to_arrow_table()


def _kept(view: JoinedView, name: str) -> str:
    if view.spec.ttl_days is None:
        return quoted(name)
    ttl = timedelta(days=view.spec.ttl_days) // timedelta(microseconds=1)
    return f'case when {quoted(_time_of(view))} >= "asked at" - to_microseconds({ttl}) then {quoted(name)} end'


def _time_of(view: JoinedView) -> str:
    return f"time of {view.spec.name}"


def _require(log: pa.Table, names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in log.column_names]:
        raise IncompleteLog(missing, log.column_names)


def _finding(one: Difference) -> SkewFinding:
    keys = ", ".join(f"{name}={value}" for name, value in one.key.items() if name != LOG_ROW)
    if one.column == ROW:
        return SkewFinding(SPINE_ROW, one.rows, 0, None, f"{keys}: logged, and not in the spine")
    example = f"{keys}: {one.found!r} was logged, {one.expected!r} is computed"
    return SkewFinding(one.column, one.rows, one.nulls, one.largest_error, example)
