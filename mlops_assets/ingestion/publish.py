"""The good rows of one part as one commit: rows and cursor together, or neither.

A load that somebody overtook, or that changes nothing, leaves the table as it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.load_state import Standing, standing
from mlops_assets.ingestion.modes import Change, Load, change
from mlops_assets.ingestion.quarantine import is_unfinished
from mlops_assets.lake.commit import Write, commit, require_same_types
from mlops_assets.lake.engine import attach, attach_arrow
from mlops_assets.lake.identity import identity
from mlops_assets.lake.tables import PARTITIONED, in_windows, predicate_of, snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.ingestion.part import Part
    from mlops_assets.lake.tables import Snapshot


class LoadOvertaken(MlopsError):
    """Another load of the same table was published while this one was under way."""

    def __init__(self, reference: str, *, found: int, required: int) -> None:
        super().__init__(
            f"raw/{reference}",
            found=f"load {found} published by somebody else",
            required=f"load {required}, after which this load asked the source",
            remedy="Nothing of it was published and nothing is lost: run it again, it begins where the other one ended.",
        )


@dataclass(frozen=True)
class Commit:
    """What became of a part.

    Attributes:
        version: Delta version that holds it; the one that was there if nothing changed.
        change: What the load changed.
        content: Identity of the rows of the window or table.
    """

    version: int
    change: Change
    content: str


def publish(con: duckdb.DuckDBPyConnection, parts: Sequence[tuple[Part, pa.Table]], *, set_aside: int) -> list[Commit]:
    """Publish the clean rows of one part, or of several windows of one table, by the mode of the table: in one commit.

    Args:
        con: Has the relation `staged`, from the audit, if there is one part.
        set_aside: How many rows the load has put into quarantine that were not there.

    Raises:
        LoadOvertaken: Another load was published since this one asked the source.
        ColumnTypeChanged: A column has another type than in the table.
        WriteContention: Too many concurrent writers.
    """
    first = parts[0][0]
    outcome: list[Commit] = []

    def plan(version: int | None) -> Write | None:
        now = current(first, version)
        outcome[:] = [_outcome(con, part, clean, now, version) for part, clean in parts]
        if first.window is None:
            return _whole(first, outcome[0], now, set_aside=set_aside)
        changed = [(str(part.key), one.change) for (part, _), one in zip(parts, outcome, strict=True)]
        needed = [(key, found) for key, found in changed if found.is_needed]
        return windows_written(needed, now) if needed else None

    version = commit(first.table.uri, plan)
    assert version is not None  # a table that is not there needs its first commit
    return [replace(one, version=version) for one in outcome]


def _outcome(con: duckdb.DuckDBPyConnection, part: Part, clean: pa.Table, now: Standing, version: int | None) -> Commit:
    load = Load(clean, part.window, part.is_complete, part.now)
    found = change(con, part.table.spec, load, _comparable(part, clean, version))
    return Commit(version or 0, found, content_of(con, part, found, now, version))


def _whole(part: Part, outcome: Commit, now: Standing, *, set_aside: int) -> Write | None:
    """Return the commit of a table without windows, unless nothing is new and nothing is to be remembered."""
    if not outcome.change.is_needed and not _moves_on(part, now, set_aside):
        return None
    if now.load != part.before.load:
        raise LoadOvertaken(part.table.reference, found=now.load, required=part.before.load)
    return written(outcome.change, now.after(load_id=part.load_id, state=part.state, content=outcome.content))


def written(found: Change, after: Standing) -> Write:
    """Return the commit that makes a change in a table without windows, or only stores the standing."""
    if not found.is_needed:
        return Write(found.rows.slice(0, 0), adds=True, properties=after.facts())
    return Write(found.rows, found.adds, schema_mode="merge" if found.adds else "overwrite", properties=after.facts())


def windows_written(changes: Sequence[tuple[str, Change]], after: Standing) -> Write:
    """Return the commit that makes changes in windows, all of the same kind."""
    adds = changes[0][1].adds
    return Write(
        in_windows([(key, found.rows) for key, found in changes]),
        adds,
        predicate=None if adds else predicate_of([key for key, _ in changes]),
        partition_by=PARTITIONED,
        properties=after.facts(),
    )


def current(part: Part, version: int | None) -> Standing:
    """Return where the table stands, without a release of which nothing is left to do."""
    now = replace(standing(part.table.uri, version), key=part.table.spec.key)
    return now if is_unfinished(part.table.quarantine_uri, now.release) else replace(now, release=None)


def _comparable(part: Part, clean: pa.Table, version: int | None) -> Snapshot | None:
    """Return what is there; a whole table that takes other types is written anew, whatever it held."""
    held = part.held(version)
    if held is None:
        return None
    try:
        require_same_types(part.table.uri, held.schema, clean.schema)
    except MlopsError:
        if part.window is None and part.table.spec.publish == "replace":
            return None
        raise
    return held


def _moves_on(part: Part, now: Standing, set_aside: int) -> bool:
    """Tell whether a load that brings no row must be remembered: its cursor moved, or it set rows aside for good."""
    moved = part.state is not None and dict(part.state) != now.state
    return moved or (part.table.is_cumulative and set_aside > 0)


def content_of(con: duckdb.DuckDBPyConnection, part: Part, found: Change, now: Standing, version: int | None) -> str:
    """Return the identity of the rows after a change; of rows that are only ever added, that of the additions in a chain."""
    mode = part.table.spec.publish
    if mode == "replace":
        return identity(found.rows)
    if part.window is not None:
        return identity(_all_versions(con, part, found, version))
    if not found.is_needed:
        return now.content
    return identity(found.rows) if mode == "upsert" else chained(now.content, found.rows)


def chained(before: str, rows: pa.Table) -> str:
    """Return the identity of rows behind those that are there."""
    return hashlib.sha256(f"{before}\0{identity(rows)}".encode()).hexdigest()


def _all_versions(con: duckdb.DuckDBPyConnection, part: Part, found: Change, version: int | None) -> pa.Table:
    attach_arrow(con, "new_versions", found.rows)
    before = ""
    if version is not None:
        attach(con, "old_versions", snapshot(part.table.uri, version, window=part.key))
        before = "union all by name from old_versions"
    return con.sql(f"select * from (from new_versions {before}) order by all").to_arrow_table()
