"""One look at a table that somebody else writes: what is there, what readers see so far, and what changed between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.contract.pointers import Pointer, pointer_numbers, read_pointer, whole
from mlops_assets.contract.predicates import predicates
from mlops_assets.ingestion.source_spec import ExternalSource
from mlops_assets.lake.delta import TableNotFound
from mlops_assets.lake.engine import attach, quoted
from mlops_assets.lake.foreign import delta_snapshot, file_of, list_parquet

if TYPE_CHECKING:
    import duckdb

    from mlops_assets.ingestion.part import Table
    from mlops_assets.lake.tables import Snapshot
    from mlops_assets.lake.windows import Window

THERE, CHANGED = "rows in place", "rows in changed files"


@dataclass(frozen=True)
class Visit:
    """What was found.

    Attributes:
        number: Of the pointer `before`; 0 if there is none.
        before: What readers see so far.
        found: What is there now; which windows and columns count is not decided yet.
        rows: The same, ready to be attached: all rows, in their own types.
    """

    table: Table
    number: int
    before: Pointer | None
    found: Pointer
    rows: Snapshot

    @property
    def shown(self) -> tuple[Window, ...]:
        """The windows that readers see so far."""
        return (self.before and self.before.windows) or ()

    @property
    def keep(self) -> str:
        """The predicate of rows that break no rule of severity quarantine."""
        rules = [rule.sql for rule in predicates(self.table.spec, None) if rule.severity == "quarantine"]
        return " and ".join(f"({rule}) is true" for rule in rules)


def visit(table: Table, uri: str) -> Visit:
    """Look at a table of an external source.

    Raises:
        TableNotFound: No Delta table there.
        NoParquetFiles: No Parquet file there.
        DeltaReadAsParquet: The Parquet files belong to a Delta table.
        UnhandledFeature: Its files alone do not say what the table holds.
    """
    number = max(pointer_numbers(table.lake, table.reference), default=0)
    before = read_pointer(table.lake, table.reference, number) if number else None
    found = _found(table, uri)
    rows = whole(table.reference, number, found)
    kinds = {column: kind for column, kind in table.spec.columns.items() if column in rows.partition_columns}
    return Visit(table, number, before, found, replace(rows, types=kinds))


def touched(con: duckdb.DuckDBPyConnection, seen: Visit) -> tuple[Window, ...]:
    """Return the published windows that may hold other rows than when they were judged."""
    import duckdb

    before = seen.before
    if before is None or (before.uri, before.format, before.keep) != (seen.found.uri, seen.found.format, seen.keep):
        return seen.shown
    try:
        changed = _changed(seen, before)
        if changed is None:
            return seen.shown
        attach(con, CHANGED, changed)
        time = f"{quoted(str(before.time_column))}::timestamptz"
        ((first, last),) = con.execute(f"select min({time}), max({time}) from {quoted(CHANGED)}").fetchall()
    except (TableNotFound, duckdb.IOException):  # its owner has removed the version that was judged
        return seen.shown
    return tuple(one for one in seen.shown if first is not None and one.start <= last and one.end > first)


def _changed(seen: Visit, before: Pointer) -> Snapshot | None:
    """Return the rows in files that came or went since a pointer was written; None if what they held is lost."""
    if before.format == "parquet":
        new = {file_of(before.uri, stamp) for stamp in set(seen.found.files) - set(before.files)}
        is_lost = bool(set(before.files) - set(seen.found.files))
        return None if is_lost else replace(seen.rows, files=tuple(sorted(new)))
    earlier = delta_snapshot(before.uri, before.delta_version)
    files = tuple(sorted(set(earlier.files) ^ set(seen.rows.files)))
    return replace(seen.rows, files=files, constants={**earlier.constants, **seen.rows.constants})


def _found(table: Table, uri: str) -> Pointer:
    assert isinstance(table.source.source, ExternalSource)  # nothing else is read in place
    if table.source.source.tables[table.name].format == "delta":
        return Pointer(uri, "delta", {}, delta_version=delta_snapshot(uri).version)
    return Pointer(uri, "parquet", {}, files=list_parquet(uri))
