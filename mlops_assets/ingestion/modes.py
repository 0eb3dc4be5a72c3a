"""What a load changes in its table, by the table's publish mode: the rows to write, and what is new, changed or gone.

Every mode compares by content, so that a load that brings nothing new writes nothing. Keep out: the commit (`publish.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.contract.names import HISTORY_COLUMNS
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.comparison import ABSENT, IS_DELETED, RECORDED_AT, REVISION, compare, listed
from mlops_assets.lake.engine import attach_arrow, quoted

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.comparison import Comparison
    from mlops_assets.lake.tables import Snapshot
    from mlops_assets.lake.windows import Window


class PublishModeChanged(MlopsError):
    """A table holds rows that another publish mode wrote."""

    def __init__(self, uri: str, mode: str) -> None:
        history = ", ".join(HISTORY_COLUMNS)
        super().__init__(
            f"{uri}, publish: {mode}",
            found=f"a table without the columns {history}" if mode == "history" else f"a table with {history}",
            required="a table of the same mode",
            remedy="Nothing was published. Give the table a new name, or remove the old one and load it again.",
        )


@dataclass(frozen=True)
class Change:
    """What one load does to a table, or to a window of it.

    Attributes:
        rows: What is written.
        adds: Whether the rows are added to what is there; otherwise they take its place.
        added: Rows that were not there.
        changed: Rows whose key was there with other values.
        vanished: Rows that were there and are no longer among the new ones; `append` and `upsert` keep them.
        late: Rows left out: older than what is there (`upsert`), or other values of a known event (`append`).
        total_rows: Rows of the table or window afterwards.
        is_needed: Whether the table would be another one.
    """

    rows: pa.Table
    adds: bool
    added: int
    changed: int = 0
    vanished: int = 0
    late: int = 0
    total_rows: int = 0
    is_needed: bool = True


@dataclass(frozen=True)
class Load:
    """The new rows of one window or table.

    Attributes:
        clean: Those that keep the contract.
        window: What the load was asked for; None for a whole table.
        is_complete: Whether it has every row of the window or table that the source has.
        now: When it arrived.
    """

    clean: pa.Table
    window: Window | None
    is_complete: bool
    now: datetime


def change(con: duckdb.DuckDBPyConnection, spec: TableSpec, load: Load, held: Snapshot | None) -> Change:
    """Return what a load changes.

    Args:
        con: Has the relation `staged`, from the audit: the clean rows and those set aside.
        held: The table, or as much of it as can hold a key of the load; None: there is no table yet.

    Raises:
        PublishModeChanged: The table was written by another mode.
    """
    if held is None:
        rows = _with_history(con, load) if spec.publish == "history" else load.clean
        return Change(rows, adds=spec.publish in ADDING, added=rows.num_rows, total_rows=rows.num_rows)
    if (REVISION in held.schema.names) != (spec.publish == "history"):
        raise PublishModeChanged(held.uri, spec.publish)
    if spec.publish == "replace" and not held.files:  # a window's first load is compared with nothing
        rows = load.clean.num_rows
        found = Change(load.clean, False, rows, total_rows=rows, is_needed=rows > 0)
    else:
        found = MODES[spec.publish](compare(con, spec, load.clean, held), load)
    has_new_columns = bool(set(load.clean.column_names) - set(held.schema.names))
    return replace(found, is_needed=found.is_needed or has_new_columns)


def newest_rows(con: duckdb.DuckDBPyConnection, rows: pa.Table, spec: TableSpec) -> pa.Table:
    """Return of each key the newest row of a batch by `newest_by`; rows that are equally new all stay."""
    assert spec.newest_by is not None  # the spec asks for it
    attach_arrow(con, "batch", rows)
    order = f"partition by {listed(spec.key)} order by {quoted(spec.newest_by)} desc nulls last"
    return con.sql(f"select * from batch qualify rank() over ({order}) = 1").to_arrow_table()


def _replace(found: Comparison, load: Load) -> Change:
    vanished = found.count(found.gone("c"))
    if found.spec.key:
        added, changed = found.counts(ABSENT, f"not {ABSENT} and ({found.differs})")
    else:
        added, changed = found.count(found.unmatched), 0
    is_needed = bool(added or changed or vanished)
    total = load.clean.num_rows
    return Change(load.clean, False, added, changed, vanished, total_rows=total, is_needed=is_needed)


def _append(found: Comparison, load: Load) -> Change:
    late = vanished = 0
    names = load.clean.column_names
    if found.spec.key:
        rows = found.rows(
            f"select {listed(names, 'c')} from {found.beside} where {ABSENT} order by {listed(names, 'c')}"
        )
        (late,) = found.counts(f"not {ABSENT} and ({found.differs})")
        vanished = found.count(found.gone("staged")) if load.is_complete else 0
    elif load.is_complete:  # of equal rows as many are new as there are more of them than before
        rows = found.rows(f"select {listed(names)} from ({found.unmatched}) order by {listed(names)}")
    else:  # a cursor delivers a row once
        rows = load.clean
    total = found.count("select 1 from held") + rows.num_rows
    return Change(rows, True, rows.num_rows, 0, vanished, late, total, is_needed=rows.num_rows > 0)


def _history(found: Comparison, load: Load) -> Change:
    is_new = f"({ABSENT} or h.{IS_DELETED})"
    is_changed = f"(not {is_new} and ({found.differs}))"
    recorded_at = f"timestamptz '{load.now.isoformat()}' as {RECORDED_AT}"
    there = [one for one in found.held.schema.names if one not in HISTORY_COLUMNS]
    inside = _inside(found.spec, load.window)
    versions = f"""
        select {listed(load.clean.column_names, "c")}, {recorded_at},
            coalesce(h.{REVISION} + 1, 0)::integer as {REVISION}, false as {IS_DELETED}
        from {found.beside} where {is_new} or {is_changed}"""
    ends = f"""
        select {listed(there)}, {recorded_at}, ({REVISION} + 1)::integer as {REVISION}, true as {IS_DELETED}
        from ({found.gone("staged")}) where not {IS_DELETED} and {inside}"""
    both = f"{versions} union all by name {ends}" if load.is_complete else versions
    rows = found.rows(f"from ({both}) order by {listed(found.spec.key)}, {REVISION}")
    added, changed = found.counts(is_new, is_changed)
    vanished = rows.num_rows - added - changed
    total = found.count(f"select 1 from held where {inside}") + rows.num_rows
    return Change(rows, True, added, changed, vanished, total_rows=total, is_needed=rows.num_rows > 0)


def _upsert(found: Comparison, load: Load) -> Change:
    by = quoted(str(found.spec.newest_by))
    is_older = f"not coalesce(c.{by} >= h.{by}, h.{by} is null)"
    wins = f"({ABSENT} or (not ({is_older}) and ({found.differs})))"
    winners = f"select {listed(found.columns, 'c')} from {found.beside} where {wins}"
    losers = f"select {listed(found.columns, 'h')} from h anti join ({winners}) c on {found.same_key}"
    rows = found.rows(f"from ({winners} union all by name {losers}) order by {listed(found.spec.key)}")
    added, changed, late = found.counts(ABSENT, f"not {ABSENT} and {wins}", f"not {ABSENT} and {is_older}")
    vanished = found.count(found.gone("staged")) if load.is_complete else 0
    return Change(rows, False, added, changed, vanished, late, rows.num_rows, is_needed=bool(added or changed))


def _with_history(con: duckdb.DuckDBPyConnection, load: Load) -> pa.Table:
    first = f"timestamptz '{load.now.isoformat()}' as {RECORDED_AT}, 0::integer as {REVISION}, false as {IS_DELETED}"
    attach_arrow(con, "clean", load.clean)
    return con.sql(f"select *, {first} from clean").to_arrow_table()


def _inside(spec: TableSpec, window: Window | None) -> str:
    if window is None:
        return "true"
    at = f"{quoted(str(spec.time_column))}::timestamptz"
    return f"({at} >= timestamptz '{window.start.isoformat()}' and {at} < timestamptz '{window.end.isoformat()}')"


ADDING = ("append", "history")
MODES = {"replace": _replace, "append": _append, "history": _history, "upsert": _upsert}
