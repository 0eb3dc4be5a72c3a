"""Which rows in quarantine may leave it, and what that changes in their table.

A row leaves if it keeps today's contract and nothing has taken its place since: its key is not there, or the table's
mode takes it for a newer version, or the very same row is there. Keep out: commits (`requarantine.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.audit import audit
from mlops_assets.contract.names import QUARANTINE_COLUMNS
from mlops_assets.ingestion.comparison import ABSENT, IS_DELETED, RECORDED_AT, compare, listed
from mlops_assets.ingestion.modes import Change, Load, change, newest_rows
from mlops_assets.lake.engine import attach, attach_arrow, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.part import Part
    from mlops_assets.lake.tables import Snapshot

SUPERSEDED = "unique_key"  # under this name a row stays whose key was published since


@dataclass(frozen=True)
class Release:
    """The outcome for the rows of one window or load.

    Attributes:
        positions: Which rows leave the quarantine.
        change: What that changes in the table.
        broken: How many of the others break which rule.
    """

    positions: list[int]
    change: Change
    broken: dict[str, int]


def judge(con: duckdb.DuckDBPyConnection, part: Part, aside: pa.Table, held: Snapshot) -> Release:
    """Judge rows that were set aside once more.

    Raises:
        SchemaChanged: The contract has a column that they lack.
        RuleDoesNotRun: A rule cannot be evaluated.
    """
    import pyarrow as pa

    spec, rows = part.table.spec, _plain(aside, part.table.spec)
    batch = newest_rows(con, rows, spec) if spec.publish == "upsert" else rows
    name = part.table.reference
    outcome = audit(con, batch, spec, name=name, window=part.window, load_id="", now=part.now, published=held)
    _number(con, rows, aside, outcome.clean)
    leaving = _leaving(con, spec, outcome.clean, held)
    broken = Counter(rule for rules in outcome.quarantined["failed_rules"].to_pylist() for rule in rules)
    superseded = aside.num_rows - outcome.quarantined.num_rows - len(leaving)
    broken[SUPERSEDED] += superseded
    added = rows.take(pa.array([at for at, adds in leaving if adds], pa.int64()))
    return Release([at for at, _ in leaving], _change(con, part, added, held), dict(+broken))


def _plain(aside: pa.Table, spec: TableSpec) -> pa.Table:
    """Return the rows as they came, without columns that only others have."""
    names = [
        name
        for name in aside.column_names
        if name in spec.columns or (name not in QUARANTINE_COLUMNS and aside[name].null_count < aside.num_rows)
    ]
    return aside.select(names)


def _number(con: duckdb.DuckDBPyConnection, rows: pa.Table, aside: pa.Table, clean: pa.Table) -> None:
    """Make `passing`: the clean rows with their position `__at` in quarantine; of equal rows the first ones."""
    import pyarrow as pa

    numbered = rows.append_column("__at", pa.array(range(rows.num_rows), pa.int64()))
    attach_arrow(con, "aside", numbered.append_column("__aside_at", aside["quarantined_at"]))
    columns = [name for name in clean.column_names if name in rows.column_names]
    same = " and ".join(f"a.{one} is not distinct from c.{one}" for one in map(quoted, columns))
    nth = f"row_number() over (partition by {listed(columns)}"
    con.execute(f"""
        create or replace temp table passing as
        select a.* from (select *, {nth} order by __at) as __nth from aside) a
        semi join (select *, {nth}) as __nth from clean) c on a.__nth = c.__nth and {same}""")


def _leaving(
    con: duckdb.DuckDBPyConnection, spec: TableSpec, clean: pa.Table, held: Snapshot
) -> list[tuple[int, bool]]:
    """Return the positions of the rows that leave, each with whether it is added to the table."""
    if not spec.key:
        return [(int(at), True) for (at,) in con.execute("select __at from passing order by all").fetchall()]
    found = compare(con, spec, clean, held)
    newer, is_there = "false", f"not ({found.differs})"
    if spec.publish == "history":
        newer, is_there = (
            f"h.{RECORDED_AT} < p.__aside_at and ({found.differs} or h.{IS_DELETED})",
            f"{is_there} and not h.{IS_DELETED}",
        )
    if spec.newest_by is not None:
        by = quoted(spec.newest_by)
        newer = f"coalesce(c.{by} > h.{by}, h.{by} is null) and ({found.differs})"
    same = " and ".join(f"p.{one} is not distinct from c.{one}" for one in map(quoted, spec.key))
    adds = f"({ABSENT} or ({newer}))"
    rows = con.execute(f"""
        select p.__at, {adds} from c join passing p on {same} left join h on {found.same_key}
        where {adds} or ({is_there}) order by all""").fetchall()
    return [(int(at), bool(is_added)) for at, is_added in rows]


def _change(con: duckdb.DuckDBPyConnection, part: Part, rows: pa.Table, held: Snapshot) -> Change:
    spec = part.table.spec
    if spec.publish != "replace":
        return change(con, spec, Load(rows, part.window, is_complete=False, now=part.now), held)
    attach(con, "held", held)
    attach_arrow(con, "clean", rows)
    order = listed([*spec.key, *(name for name in rows.column_names if name not in spec.key)])
    both = con.sql(f"from (from held union all by name from clean) order by {order}").to_arrow_table()
    added = rows.num_rows
    return Change(both, adds=False, added=added, total_rows=both.num_rows, is_needed=added > 0)
