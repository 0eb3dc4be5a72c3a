"""New rows beside those that are there: what both sides have in common, and what only one has.

Add here: questions about the two. Keep out: what a publish mode makes of the answers (`modes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.names import HISTORY_COLUMNS
from mlops_assets.lake.engine import attach, attach_arrow, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.lake.tables import Snapshot

RECORDED_AT, REVISION, IS_DELETED = HISTORY_COLUMNS
ABSENT = "h.__held is null"


@dataclass(frozen=True)
class Comparison:
    """New rows `c` beside those that are there, `h`: the same columns on both sides, of each key the newest version."""

    con: duckdb.DuckDBPyConnection
    spec: TableSpec
    held: Snapshot
    columns: Sequence[str]

    @property
    def same_key(self) -> str:
        return " and ".join(f"c.{one} is not distinct from h.{one}" for one in map(quoted, self.spec.key))

    @property
    def differs(self) -> str:
        return " or ".join(f"c.{one} is distinct from h.{one}" for one in map(quoted, self.columns))

    @property
    def beside(self) -> str:
        return f"c left join h on {self.same_key}"

    @property
    def unmatched(self) -> str:
        """The query of new rows that are there in smaller number, for tables without a key."""
        return f"select {listed(self.columns)} from c except all select {listed(self.columns)} from h"

    def counts(self, *conditions: str) -> list[int]:
        """Return how many new rows, beside what is there, meet each condition."""
        wanted = ", ".join(f"count(*) filter (where {one})" for one in conditions)
        return [int(one) for one in self.con.execute(f"select {wanted} from {self.beside}").fetchall()[0]]

    def count(self, query: str) -> int:
        return int(self.con.execute(f"select count(*) from ({query})").fetchall()[0][0])

    def gone(self, seen: str) -> str:
        """Return the query of what is there and not in `seen`; a row that was set aside was seen."""
        if self.spec.key:
            return f"select h.* from h anti join {seen} c on {self.same_key}"
        return f"select {listed(self.columns)} from h except all select {listed(self.columns)} from {seen}"

    def rows(self, query: str) -> pa.Table:
        return self.con.sql(query).to_arrow_table()


def compare(con: duckdb.DuckDBPyConnection, spec: TableSpec, clean: pa.Table, held: Snapshot) -> Comparison:
    """Make the relations `c` (the new rows) and `h` (what is there), with the same columns."""
    attach_arrow(con, "clean", clean)
    attach(con, "held", held)
    new, there = types_of(con, "clean"), types_of(con, "held")
    columns = [one for one in {**new, **there} if one not in HISTORY_COLUMNS]
    newest = ""
    if spec.publish == "history":
        newest = f"qualify row_number() over (partition by {listed(spec.key)} order by {REVISION} desc) = 1"
    con.execute(f"create or replace temp view c as select {typed(columns, new, there)} from clean")
    both = [*columns, *(one for one in HISTORY_COLUMNS if one in there)]
    con.execute(f"create or replace temp view h as select {typed(both, there, new)}, true as __held from held {newest}")
    return Comparison(con, spec, held, columns)


def surplus(
    con: duckdb.DuckDBPyConnection, rows: pa.Table, others: pa.Table, *, apart_from: Collection[str] = ()
) -> pa.Table:
    """Return of equal rows as many as there are more than among `others`.

    Args:
        apart_from: Columns that do not count.
    """
    attach_arrow(con, "more", rows)
    attach_arrow(con, "others", others)
    new, there = types_of(con, "more"), types_of(con, "others")
    content = [one for one in {**new, **there} if one not in apart_from]
    same = " and ".join(f"n.{one} is not distinct from o.{one}" for one in map(quoted, content))
    return con.sql(f"""
        with n as (
            select *, row_number() over (partition by {listed(content)}) as nth
            from (select {typed([*content, *apart_from], new, there)} from more)
        ), o as (select {typed(content, there, new)}, count(*) as times from others group by all)
        select {listed(rows.column_names, "n")} from n left join o on {same} where nth > coalesce(times, 0)
        """).to_arrow_table()


def listed(columns: Iterable[str], of: str | None = None) -> str:
    """Return a list of columns in SQL.

    >>> listed(["id", "at"], of="c")
    'c."id", c."at"'
    """
    return ", ".join(f"{of}.{quoted(one)}" if of else quoted(one) for one in columns)


def types_of(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation with their DuckDB types."""
    return {str(row[0]): str(row[1]) for row in con.execute(f"describe {relation}").fetchall()}


def typed(columns: Sequence[str], own: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return the columns of a relation, those that only the other one has as nulls of its type."""
    return ", ".join(quoted(one) if one in own else f"null::{other[one]} as {quoted(one)}" for one in columns)
