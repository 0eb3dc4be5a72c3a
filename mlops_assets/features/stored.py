"""The table of a view as its last refresh left it: facts in the commit, and what its rows are, week by week.

A view's content is one hash for each week of `event_timestamp`. So what a whole table is can be told after a refresh that
looked at its end alone, and it is the same as after a refresh of everything.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from mlops_assets.features.compute import DEFINITION, SOURCES
from mlops_assets.lake import tables
from mlops_assets.lake.identity import identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

ENGINE, BLOCKS = "engine", "blocks"
BLOCK = timedelta(weeks=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ViewFacts:
    """What a commit of a view says about itself.

    Attributes:
        definition: Hash of what decides the rows.
        sources: Version read of each `source/table`.
        engine: What computed the rows: other releases may round differently.
        blocks: By first day of a week, the hash of its rows.
    """

    definition: str
    sources: dict[str, int]
    engine: str
    blocks: dict[str, str]

    @property
    def data_version(self) -> str:
        """Return the identity of the rows, wherever and however they were computed."""
        return hashlib.sha256(json.dumps(self.blocks, sort_keys=True).encode()).hexdigest()

    def says_the_same(self, other: ViewFacts) -> bool:
        """Tell whether another refresh gave the same rows in the same way, perhaps from other versions."""
        return (self.definition, self.engine, self.blocks) == (other.definition, other.engine, other.blocks)

    def properties(self) -> dict[str, str]:
        """Return the facts as they are stored with a commit."""
        sources, blocks = (json.dumps(one, sort_keys=True) for one in (self.sources, self.blocks))
        return {DEFINITION: self.definition, SOURCES: sources, ENGINE: self.engine, BLOCKS: blocks}


def read_facts(uri: str, version: int | None) -> ViewFacts | None:
    """Return the facts of a version; None if there is none, or a commit that says less."""
    facts = {} if version is None else tables.commit_properties(uri, version)
    if not {DEFINITION, SOURCES, ENGINE, BLOCKS} <= set(facts):
        return None
    return ViewFacts(facts[DEFINITION], json.loads(facts[SOURCES]), facts[ENGINE], json.loads(facts[BLOCKS]))


def block_start(at: datetime) -> datetime:
    """Return the first instant of the week that a time is in.

    >>> block_start(datetime(2024, 3, 1, 12, tzinfo=UTC)).isoformat()
    '2024-02-29T00:00:00+00:00'
    """
    return EPOCH + (at - EPOCH) // BLOCK * BLOCK


def blocks_of(table: pa.Table) -> dict[str, str]:
    """Return the hash of each week's rows; the rows of a week count in their order."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    times = pc.cast(table["event_timestamp"], pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    weeks = times // (BLOCK // timedelta(microseconds=1))
    order = np.argsort(weeks, kind="stable")
    found, starts = np.unique(weeks[order], return_index=True)
    bounds = pairwise([*starts.tolist(), len(order)])
    ordered = table.take(pa.array(order))
    return {
        f"{EPOCH + week * BLOCK:%Y-%m-%d}": identity(ordered.slice(start, end - start))[:32]
        for week, (start, end) in zip(found.tolist(), bounds, strict=True)
    }


def blocks_before(blocks: Mapping[str, str], start: datetime) -> dict[str, str]:
    """Return the weeks that end at or before `start`, which is the first instant of a week."""
    return {day: digest for day, digest in blocks.items() if datetime.fromisoformat(day).replace(tzinfo=UTC) < start}
