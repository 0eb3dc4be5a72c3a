"""Tables that somebody else writes, judged where they are: rows are read, never copied, and a pointer says what counts.

A row that breaks a rule of severity quarantine is left out by the pointer's predicate. Published windows are judged again as
soon as a file that can hold rows of theirs changes; if one of them is blocked, readers keep what they had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.contract.audit import audit
from mlops_assets.contract.pointers import FilesChanged, in_windows, pointed_at, read_pointer, write_pointer
from mlops_assets.ingestion.ingest import WindowsMismatch
from mlops_assets.ingestion.load_state import Standing
from mlops_assets.ingestion.outcome import Published, earlier_rows, write_outcome
from mlops_assets.ingestion.part import Part, Table
from mlops_assets.ingestion.quarantine import set_aside
from mlops_assets.ingestion.schema_changes import note_schema_changes, schema_changes
from mlops_assets.ingestion.visit import THERE, Visit, touched, visit
from mlops_assets.lake.commit import WriteContention
from mlops_assets.lake.delta import TableNotFound
from mlops_assets.lake.engine import attach, connect
from mlops_assets.lake.identity import identity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb

    from mlops_assets.contract.pointers import Pointer
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.tables import Snapshot
    from mlops_assets.lake.windows import Window

ATTEMPTS = 5


@dataclass(frozen=True)
class Judged:
    """One window, or the whole table, after its audit.

    Attributes:
        columns: What a reader sees of it.
    """

    part: Part
    published: Published
    columns: tuple[str, ...]


def read_in_place(
    source: IngestionSpec, name: str, uri: str, *, windows: Sequence[Window], lake: str, load_id: str, now: datetime
) -> list[Published]:
    """Judge a table where it is, and let readers see what it is now.

    Args:
        uri: Place of the table.
        windows: To judge, oldest first; empty for a source without partitions.
        load_id: Kept with every row set aside.

    Returns:
        One for each window that was judged: those of `windows`, and published ones that may have changed. `version` is the
        number of the pointer; None if the window is blocked, or if a published one is and so nothing moved.

    Raises:
        WindowsMismatch: Windows and partitions do not fit.
        TableNotFound: No Delta table there.
        NoParquetFiles: No Parquet file there.
        UnhandledFeature: Its files alone do not say what the table holds.
        SchemaChanged: A column has another type than declared.
        RuleDoesNotRun: DuckDB cannot evaluate a rule.
        CopiedAndInPlace: The lake holds a copy of it as well.
        WriteContention: Others kept publishing the same table.
    """
    if bool(windows) != (source.partitions is not None):
        raise WindowsMismatch(source, len(windows))
    table = Table(source, name, lake)
    for _ in range(ATTEMPTS):
        with connect() as con:
            seen = visit(table, uri)
            attach(con, THERE, seen.rows)
            held = _held(con, seen)
            parts = [
                Part(table, one, load_id, now, is_complete=True, before=Standing()) for one in _due(con, seen, windows)
            ]
            judged = [_judge(con, seen, part, held) for part in parts]
            pointer = _pointer(con, seen, judged)
        number = _moved(seen, pointer) if pointer else None
        if number is not None or pointer is None:
            return [_noted(one, number) for one in judged]
    raise WriteContention(table.uri, ATTEMPTS)


def _due(con: duckdb.DuckDBPyConnection, seen: Visit, windows: Sequence[Window]) -> list[Window] | list[None]:
    return sorted({*windows, *touched(con, seen)}, key=lambda one: one.start) if windows else [None]


def _judge(con: duckdb.DuckDBPyConnection, seen: Visit, part: Part, held: Snapshot | None) -> Judged:
    spec, window, time = part.table.spec, part.window, seen.table.spec.time_column
    where = in_windows(time, [window]) if window and time else "true"
    rows = con.sql(f'from "{THERE}" where {where}').to_arrow_table()
    before = held and replace(held, where=" and ".join(filter(None, [held.where, where])))
    outcome = audit(
        con,
        rows,
        spec,
        name=part.table.reference,
        window=window,
        load_id=part.load_id,
        now=part.now,
        published=before,
        earlier_rows=earlier_rows(part),
    )
    set_aside(con, part, outcome.quarantined)
    published = Published(
        table=part.table.name,
        window=part.key,
        load_id=part.load_id,
        rows=outcome.clean.num_rows,
        quarantined_rows=outcome.quarantined.num_rows,
        version=None,
        findings=outcome.findings,
        schema_changes=schema_changes(part, rows, before),
        uri=seen.found.uri,
        quarantine_uri=part.table.quarantine_uri,
        blocked=outcome.blocked,
    )
    if outcome.blocked:
        return Judged(part, published, ())
    content = identity(outcome.clean)
    published = replace(published, total_rows=outcome.clean.num_rows, content=content)
    return Judged(part, published, tuple(outcome.clean.column_names))


def _held(con: duckdb.DuckDBPyConnection, seen: Visit) -> Snapshot | None:
    """Return what readers see so far; of what its owner has changed or removed no rows, only the columns."""
    import duckdb

    if seen.before is None:
        return None
    try:
        held = pointed_at(seen.table.reference, seen.number, seen.before)
        attach(con, "seen before", held)
    except (FilesChanged, TableNotFound, duckdb.IOException):
        return replace(seen.rows, files=(), schema=seen.before.schema)
    return held


def _pointer(con: duckdb.DuckDBPyConnection, seen: Visit, judged: Sequence[Judged]) -> Pointer | None:
    """Return what readers are to see; None if they keep what they have."""
    fine = [one for one in judged if not one.published.blocked]
    blocked = [one.part.window for one in judged if one.published.blocked]
    if not fine or any(window in seen.shown for window in blocked):
        return None
    windows = {*seen.shown, *(one.part.window for one in fine if one.part.window)}
    partitioned = seen.table.source.partitions is not None
    return replace(
        seen.found,
        columns=_columns(con, seen, {column for one in fine for column in one.columns}),
        keep=seen.keep,
        time_column=seen.table.spec.time_column,
        windows=tuple(sorted(windows, key=lambda one: one.start)) if partitioned else None,
    )


def _columns(con: duckdb.DuckDBPyConnection, seen: Visit, clean: set[str]) -> dict[str, str]:
    """Return the declared columns, then those that nobody declared and the contract lets pass, with their types."""
    declared = seen.table.spec.columns
    shown = clean | (set(seen.before.columns) if seen.before else set())
    types = {str(name): str(kind) for name, kind, *_ in con.execute(f'describe "{THERE}"').fetchall()}
    return {**declared, **{name: kind for name, kind in types.items() if name in shown and name not in declared}}


def _moved(seen: Visit, pointer: Pointer) -> int | None:
    """Return the number of a pointer, new only if it says something new; None if the table has to be judged again.

    Another run that took the number and saw the same table under the same rules has only added windows: both count.
    """
    held, number = seen.before, seen.number
    while pointer != held:
        number += 1
        if write_pointer(seen.table.lake, seen.table.reference, number, pointer):
            return number
        held = read_pointer(seen.table.lake, seen.table.reference, number)
        if not pointer.says_the_same(held):
            return None
        pointer = pointer.with_windows_of(held)
    return number


def _noted(judged: Judged, number: int | None) -> Published:
    """Store the verdict, unless nothing moved: then only what blocks is news."""
    published = replace(judged.published, version=None if judged.published.blocked else number)
    if published.blocked or number is not None:
        note_schema_changes(judged.part, published.schema_changes)
        write_outcome(judged.part, published)
    return published
