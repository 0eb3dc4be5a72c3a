"""Search a training set for values from the future: cut the raw tables at a prediction time, compute again, compare.

It catches leaks inside anybody's SQL, not only in the join: what a query could not have known is not there when it runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.known_at import cut
from mlops_assets.features.compute import compute_view
from mlops_assets.features.join import JoinedView
from mlops_assets.features.sources import open_sources
from mlops_assets.features.spine import read_spine
from mlops_assets.features.vectors import assemble, relation_of
from mlops_assets.lake.engine import attach_arrow, connect, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import KnownAtSpec
    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.features.training_set import Manifest, TrainingSet

RELATIVE_TOLERANCE = 1e-9
SPINE_ROW = "the row of the spine"


@dataclass(frozen=True)
class LeakFinding:
    """A feature whose value in the training set could not have been known.

    Attributes:
        feature: Its name, or `the row of the spine` when the prediction itself could not have been asked for.
        rows: Rows that differ.
        largest_error: Largest difference of a number; None for text, nulls and missing rows.
        example: One such row: when, what stands in the training set, what could have been known.
    """

    feature: str
    rows: int
    largest_error: float | None
    example: str

    def __str__(self) -> str:
        error = "" if self.largest_error is None else f", by up to {self.largest_error:.4g}"
        return f"{self.feature}: {self.rows} rows hold what was not known at prediction time{error} ({self.example})"


@dataclass(frozen=True)
class Leakage:
    """What the search found."""

    findings: tuple[LeakFinding, ...]
    checked_rows: int
    times: tuple[datetime, ...]

    @property
    def passed(self) -> bool:
        return not self.findings


def check_leakage(
    training_set: TrainingSet,
    definition: VectorDefinition,
    *,
    lake: str,
    known_at: Mapping[str, KnownAtSpec | None],
    samples: int,
    seed: int,
) -> Leakage:
    """Compute the rows of some prediction times again from what was known then, and compare them value by value.

    Args:
        known_at: When the cells of each `source/table` become known.
        samples: How many prediction times; rows of one time are checked together.
        seed: Decides which.

    Raises:
        NeverSaidWhenKnown: A source declares no `known_at`.
    """
    times = _sample(training_set.table, samples, seed)
    with connect() as con:
        past = _Past(con, lake, training_set.manifest, known_at)
        parts = [_compare(past, training_set.table, definition, at=at) for at in times]
    differences = [difference for _, found in parts for difference in found]
    return Leakage(_summarise(differences), checked_rows=sum(rows for rows, _ in parts), times=tuple(times))


@dataclass(frozen=True)
class _Past:
    """The raw tables at the versions that a training set was made from, to be cut at any time."""

    con: duckdb.DuckDBPyConnection
    lake: str
    manifest: Manifest
    known_at: Mapping[str, KnownAtSpec | None]

    def open(self, sources: Mapping[str, str], versions: Mapping[str, int], *, at: datetime) -> None:
        """Attach each `source/table` under its alias as it was known at `at`."""
        open_sources(self.con, self.lake, sources, versions=versions)
        for alias, table in sources.items():
            columns = [str(row[0]) for row in self.con.execute(f"describe {quoted(alias)}").fetchall()]
            cut(self.con, alias, columns, self.known_at[table], at=at)


@dataclass(frozen=True)
class _Difference:
    feature: str
    error: float | None
    example: str


def _sample(table: pa.Table, samples: int, seed: int) -> list[datetime]:
    import numpy as np

    times = table["prediction_time"].unique().sort()
    chosen = np.random.default_rng(seed).choice(len(times), min(samples, len(times)), replace=False)
    return times.take(np.sort(chosen)).to_pylist()


def _compare(
    past: _Past, table: pa.Table, definition: VectorDefinition, *, at: datetime
) -> tuple[int, list[_Difference]]:
    """Return the number of rows of one prediction time, and how they differ from what was known."""
    import pyarrow.compute as pc

    wanted = table.filter(pc.equal(table["prediction_time"], at))
    known = _known_vectors(past, definition, at)
    names = dict.fromkeys([*definition.request.inputs, *past.manifest.features])
    return wanted.num_rows, _differences(wanted, known, keys=definition.spine.keys, names=list(names), at=at)


def _known_vectors(past: _Past, definition: VectorDefinition, at: datetime) -> pa.Table:
    """Return the vectors of one prediction time from the tables as they were known then."""
    joined: list[JoinedView] = []
    for view in definition.views:
        past.open(view.spec.sources, past.manifest.views[view.spec.name].sources, at=at)
        relation = relation_of(view)
        attach_arrow(past.con, relation, compute_view(past.con, view.spec, view.sql))
        joined.append(JoinedView(view.spec, relation, definition.features_of(view)))
    past.open(definition.spine.sources, past.manifest.sources, at=at)
    end = at + timedelta(microseconds=1)
    spine = read_spine(past.con, definition, column="prediction_time", start=at, end=end)
    return assemble(past.con, spine, definition, joined).table


def _differences(
    wanted: pa.Table, known: pa.Table, *, keys: Sequence[str], names: Sequence[str], at: datetime
) -> list[_Difference]:
    by_key = {tuple(row[key] for key in keys): row for row in known.to_pylist()}
    found: list[_Difference] = []
    for row in wanted.to_pylist():
        same = by_key.get(tuple(row[key] for key in keys))
        if same is None:
            found.append(_Difference(SPINE_ROW, None, f"at {at.isoformat()}: not there yet"))
            continue
        for name in names:
            if not _is_same(row[name], same[name]):
                example = f"at {at.isoformat()}: {row[name]!r} in the training set, {same[name]!r} was known"
                found.append(_Difference(name, _error(row[name], same[name]), example))
    return found


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE) or (math.isnan(one) and math.isnan(other))
    return one == other


def _error(one: Any, other: Any) -> float | None:
    return abs(one - other) if isinstance(one, float) and isinstance(other, float) else None


def _summarise(differences: Sequence[_Difference]) -> tuple[LeakFinding, ...]:
    features = dict.fromkeys(difference.feature for difference in differences)
    return tuple(_finding(feature, [d for d in differences if d.feature == feature]) for feature in features)


def _finding(feature: str, differences: Sequence[_Difference]) -> LeakFinding:
    errors = [difference.error for difference in differences if difference.error is not None]
    return LeakFinding(feature, len(differences), max(errors, default=None), differences[0].example)
