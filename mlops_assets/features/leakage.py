"""Search a training set for values from the future: cut the raw tables at a prediction time, compute again, compare.

It catches leaks inside anybody's SQL, not only in the join: what a query could not have known is not there when it runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_assets.features.compute import known_rows
from mlops_assets.features.join import JoinedView
from mlops_assets.features.leak_finding import LeakFinding, differences, summarise
from mlops_assets.features.sources import cut_sources, open_sources
from mlops_assets.features.spine import spine_at
from mlops_assets.features.vectors import assemble, relation_of
from mlops_assets.lake.engine import attach_arrow, connect

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import KnownAtSpec
    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.features.training_set import Manifest, TrainingSet


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
    import pyarrow.compute as pc

    table, times = training_set.table, _sample(training_set.table, samples, seed)
    names = list(dict.fromkeys([*definition.request.inputs, *training_set.manifest.features]))
    found: list[LeakFinding] = []
    checked_rows = 0
    with connect() as con:
        past = _Past(con, lake, training_set.manifest, known_at)
        for at in times:
            wanted = table.filter(pc.field("prediction_time") == at)
            known = _known_vectors(past, definition, at)
            found += differences(con, wanted, known, keys=definition.spine.keys, names=names, at=at)
            checked_rows += wanted.num_rows
    return Leakage(summarise(found), checked_rows, tuple(times))


@dataclass(frozen=True)
class _Past:
    """The raw tables at the versions that a training set was made from, to be cut at any time.

    Attributes:
        attached: Reference and version behind each alias; a table is opened once, not for each time.
    """

    con: duckdb.DuckDBPyConnection
    lake: str
    manifest: Manifest
    known_at: Mapping[str, KnownAtSpec | None]
    attached: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])

    def open(self, sources: Mapping[str, str], versions: Mapping[str, int], *, at: datetime) -> None:
        """Attach each `source/table` under its alias as it was known at `at`."""
        wanted = {alias: (reference, versions[reference]) for alias, reference in sources.items()}
        new = {alias: sources[alias] for alias, one in wanted.items() if self.attached.get(alias) != one}
        open_sources(self.con, self.lake, new, versions=versions)
        self.attached.update(wanted)
        cut_sources(self.con, sources, self.known_at, at=at)


def _sample(table: pa.Table, samples: int, seed: int) -> list[datetime]:
    import numpy as np

    times = table["prediction_time"].unique().sort()
    chosen = np.random.default_rng(seed).choice(len(times), min(samples, len(times)), replace=False)
    return times.take(np.sort(chosen)).to_pylist()


def _known_vectors(past: _Past, definition: VectorDefinition, at: datetime) -> pa.Table:
    """Return the vectors of one prediction time from the tables as they were known then."""
    joined: list[JoinedView] = []
    for view in definition.views:
        past.open(view.spec.sources, past.manifest.views[view.spec.name].sources, at=at)
        relation = relation_of(view)
        attach_arrow(past.con, relation, known_rows(past.con, view.spec, view.sql))
        joined.append(JoinedView(view.spec, relation, definition.features_of(view)))
    past.open(definition.spine.sources, past.manifest.sources, at=at)
    return assemble(past.con, spine_at(past.con, definition, at), definition, joined).table
