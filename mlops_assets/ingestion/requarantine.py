"""Rows in quarantine judged again, by the contract of today and beside what is published by now.

Those that pass are published by the mode of their table, the others stay. The commit that publishes rows says which
ones, so that an interrupted release is finished, and never repeated.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.contract.verdict import read_verdict, require_published, write_verdict
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.comparison import surplus
from mlops_assets.ingestion.ingest import WindowsMismatch
from mlops_assets.ingestion.part import Part, Table
from mlops_assets.ingestion.publish import content_of, windows_written, written
from mlops_assets.ingestion.quality_page import quality_page
from mlops_assets.ingestion.quarantine import RELEASED, is_settled, is_unfinished
from mlops_assets.ingestion.release import judge
from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.engine import connect
from mlops_assets.lake.tables import (
    PARTITIONED,
    commit_properties,
    in_window,
    newest_version,
    predicate_of,
    read,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.ingestion.release import Release
    from mlops_assets.ingestion.spec import IngestionSpec


class ReadInPlace(MlopsError):
    """Rows of a table that somebody else writes cannot be moved into it."""

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"quarantine/{reference}",
            found="a table that is read in place: its rows never left it",
            required="a table that the lake holds",
            remedy=f"Correct the rule or the rows, then materialise `raw/{reference}`: what keeps the contract is shown again.",
        )


@dataclass(frozen=True)
class Requarantined:
    """What became of the rows set aside of one window, or of one load of a table that only grows.

    Attributes:
        table: Name of the table in its source.
        window: Key of the window; None for a whole table.
        released: Rows that left the quarantine.
        added: Those of them that the table did not have.
        kept: Rows that stay.
        broken: How many of these break which rule today; `unique_key` also if their key was published since.
        version: Delta version of the table afterwards.
        total_rows: Rows of the table or window afterwards.
        content: Identity of these rows; None if they are the same as before.
        uri: Place of the table.
    """

    table: str
    window: str | None
    released: int
    added: int
    kept: int
    broken: dict[str, int]
    version: int
    total_rows: int
    content: str | None
    uri: str


def requarantine(
    spec: IngestionSpec, table: str, *, window: str | None = None, lake: str, now: datetime
) -> list[Requarantined]:
    """Judge the rows in quarantine again and release those that pass.

    Args:
        window: Key of one window; None: every window that has rows in quarantine.

    Raises:
        ReadInPlace: The table is external.
        WindowsMismatch: A window of a source without partitions.
        UnknownWindow: The source has no such window.
        WindowNotPublished: The window or table is blocked, or was never published: load it again first.
        RuleDoesNotRun: A rule cannot be evaluated.
    """
    place = Table(spec, table, lake)
    if place.spec.publish == "in_place":
        raise ReadInPlace(place.reference)
    with connect() as con:
        _finish(con, place)
        told = [_release(con, place, unit, now) for unit in _units(place, window)]
    if told:
        quality_page(lake, spec, table)
    return told


def _units(place: Table, window: str | None) -> Sequence[str | None]:
    source, version = place.source, newest_version(place.quarantine_uri)
    if window is not None and source.partitions is None:
        raise WindowsMismatch(source, 1)
    if version is None:
        return []
    if place.is_cumulative:
        now = place.standing()
        return [unit for unit in windows(place.quarantine_uri, version) if is_settled(unit, now)]
    chosen = [window] if source.partitions is None or window else windows(place.quarantine_uri, version)
    for key in chosen:
        require_published(place.lake, source.name, place.name, key)
    return chosen


def _release(con: duckdb.DuckDBPyConnection, place: Table, unit: str | None, now: datetime) -> Requarantined:
    partitions = place.source.partitions
    window = partitions.window(unit) if partitions and unit else None
    outcome: list[tuple[Release, str | None, int]] = []

    def plan(version: int | None) -> Write | None:
        assert version is not None  # its verdict says that it is published
        _finish(con, place)  # somebody else's release, by which we may have been overtaken
        at = newest_version(place.quarantine_uri)
        aside = read(place.quarantine_uri, version=at, window=unit)
        before = place.standing(version)
        part = Part(place, window, before.load_id, now, is_complete=False, before=before)
        held = part.held(version)
        assert held is not None
        found = judge(con, part, aside, held)
        content = content_of(con, part, found.change, before, version) if found.change.is_needed else None
        outcome[:] = [(found, content, aside.num_rows - len(found.positions))]
        if not found.positions:
            return None
        mark = {"unit": unit, "quarantine": at, "rows": _packed(found.positions, aside.num_rows)}
        after = replace(before, content=before.content if window else content or before.content, release=mark)
        if part.key is None or not found.change.is_needed:
            return written(found.change, after)
        return windows_written([(part.key, found.change)], after)

    version = commit(place.uri, plan)
    assert version is not None
    _finish(con, place)
    found, content, kept = outcome[0]
    told = Requarantined(
        table=place.name,
        window=window.key if window else None,
        released=len(found.positions),
        added=found.change.added + found.change.changed,
        kept=kept,
        broken=found.broken,
        version=version,
        total_rows=found.change.total_rows,
        content=content,
        uri=place.uri,
    )
    _tell(place, told, now)
    return told


def _finish(con: duckdb.DuckDBPyConnection, place: Table) -> None:
    """Take the rows of the last release out of the quarantine, unless that has been done."""
    release = place.standing().release
    if release is None or not is_unfinished(place.quarantine_uri, release):
        return
    uri, unit = place.quarantine_uri, release["unit"]
    before = read(uri, version=release["quarantine"], window=unit)
    released = before.filter(_unpacked(release["rows"], before.num_rows))

    def plan(version: int | None) -> Write | None:
        facts = commit_properties(uri, version or 0)
        if int(facts.get(RELEASED, "-1")) >= release["quarantine"]:
            return None
        rest = surplus(con, read(uri, version=version, window=unit), released)
        facts = {**facts, RELEASED: str(release["quarantine"])}
        if unit is None:
            return Write(rest, schema_mode="overwrite", properties=facts)
        keyed = in_window(rest, unit)
        return Write(keyed, predicate=predicate_of([unit]), partition_by=PARTITIONED, properties=facts)

    commit(uri, plan)


def _tell(place: Table, told: Requarantined, now: datetime) -> None:
    """Write what changed into the verdict that consumers read."""
    verdict = read_verdict(place.lake, place.source.name, place.name, told.window)
    if verdict is None:
        return
    facts = {
        **verdict,
        "version": told.version,
        "total_rows": told.total_rows,
        "content": told.content or verdict["content"],
    }
    if not place.is_cumulative:
        facts["quarantined_rows"] = told.kept
    if place.spec.publish == "replace":
        facts["rows"] = told.total_rows
    if facts != verdict:
        facts["released_at"] = now.isoformat()
        write_verdict(place.lake, place.source.name, place.name, told.window, facts)


def _packed(positions: Sequence[int], rows: int) -> str:
    """Return which rows of how many, one bit each."""
    import numpy as np

    flags = np.zeros(rows, bool)
    flags[list(positions)] = True
    return base64.b64encode(zlib.compress(np.packbits(flags).tobytes())).decode()


def _unpacked(text: str, rows: int) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return pa.array(
        np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8), count=rows).astype(bool)
    )
