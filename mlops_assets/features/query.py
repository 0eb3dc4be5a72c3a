"""A person's query over attached sources: run once, its columns checked, DuckDB's message kept when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa


class QueryFailed(MlopsError):
    """DuckDB refused a query, or failed while running it."""

    def __init__(self, owner: str, message: str) -> None:
        super().__init__(
            f"SQL of {owner}",
            found=message.strip(),
            required="one DuckDB query that runs over its sources",
            remedy="Correct the SQL; `sources:` lists the aliases that it may read.",
        )


class MissingColumns(MlopsError):
    """The result of a query lacks columns."""

    def __init__(self, owner: str, *, missing: Sequence[str], found: Sequence[str]) -> None:
        super().__init__(
            f"SQL of {owner}",
            found=f"columns {', '.join(found)}",
            required=f"also {', '.join(missing)}",
            remedy="Select them in the SQL, or take them out of the file.",
        )


class NullTimes(MlopsError):
    """Rows without a time cannot be placed before or after anything."""

    def __init__(self, owner: str, column: str, *, rows: int, total: int) -> None:
        super().__init__(
            f"SQL of {owner}",
            found=f"{column} is null in {rows:,} of {total:,} rows",
            required=f"{column} is not null in every row",
            remedy="Filter these rows in the SQL, or give them a time.",
        )


def run_query(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    *,
    owner: str,
    required: Sequence[str],
    casts: Mapping[str, str],
    where: str = "true",
    parameters: Mapping[str, object] | None = None,
    order: Sequence[str],
) -> pa.Table:
    """Return the rows of a person's query.

    Args:
        owner: Whose query it is, for messages.
        required: Columns that the result must have; others are kept behind them.
        casts: DuckDB types that columns are brought to.
        where: Condition on the result, which may name `parameters`.
        order: Columns to sort by, nulls first.

    Raises:
        QueryFailed: DuckDB refused the query.
        MissingColumns: A required column is not in the result.
    """
    import duckdb

    source = f"({sql.strip().rstrip(';')}\n)"
    try:
        found = [str(row[0]) for row in con.execute(f"describe select * from {source}").fetchall()]
        missing = [name for name in required if name not in found]
        if missing:
            raise MissingColumns(owner, missing=missing, found=found)
        names = list(dict.fromkeys([*required, *found]))
        columns = ", ".join(f"{_cast(name, casts)} as {quoted(name)}" for name in names)
        by = ", ".join(f"{quoted(name)} nulls first" for name in order)
        query = f"select {columns} from {source} as result where {where} order by {by}"
        return con.sql(query, params=dict(parameters or {})).to_arrow_table()
    except duckdb.Error as error:
        raise QueryFailed(owner, str(error)) from error


def refuse_null_times(table: pa.Table, columns: Sequence[str], *, owner: str) -> None:
    """Refuse a null in any of `columns`.

    Raises:
        NullTimes: There is one.
    """
    for column in columns:
        if nulls := table[column].null_count:
            raise NullTimes(owner, column, rows=nulls, total=table.num_rows)


def repeated(con: duckdb.DuckDBPyConnection, table: pa.Table, columns: Sequence[str]) -> list[dict[str, object]]:
    """Return up to five values of `columns` that several rows share, with `rows found`; a null equals a null."""
    by = ", ".join(map(quoted, columns))
    con.register("__counted", table.select(list(columns)))
    try:
        found = con.sql(f"""
            select {by}, count(*) as "rows found" from __counted group by {by} having count(*) > 1 order by {by} limit 5
        """)
        return found.to_arrow_table().to_pylist()
    finally:
        con.unregister("__counted")


def _cast(name: str, casts: Mapping[str, str]) -> str:
    return f"{quoted(name)}::{casts[name]}" if name in casts else quoted(name)
