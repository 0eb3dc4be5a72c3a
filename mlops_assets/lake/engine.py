"""DuckDB in memory, reading the files of Delta snapshots: the one place that runs SQL over the lake.

One thread and UTC by default, so that sums and averages come out the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.lake.remote import register
from mlops_assets.lake.uris import is_local

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from mlops_assets.lake.tables import Snapshot


def connect(threads: int = 1) -> duckdb.DuckDBPyConnection:
    """Return a fresh in-memory database; more than one thread may change the last digits of averages."""
    import duckdb

    con = duckdb.connect(config={"threads": threads, "python_enable_replacements": False})
    con.execute("set TimeZone = 'UTC'")
    return con


def quoted(name: str) -> str:
    """Return `name` as a SQL identifier.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def attach(con: duckdb.DuckDBPyConnection, name: str, snapshot: Snapshot) -> None:
    """Make the view `name` over the files of `snapshot`; partition columns are left out, absent columns are null."""
    if not snapshot.files:
        attach_arrow(con, name, snapshot.schema.empty_table())
        return
    if not is_local(snapshot.uri):
        register(con, snapshot.uri)
    files = ", ".join("'" + file.replace("'", "''") + "'" for file in snapshot.files)
    source = f"read_parquet([{files}], hive_partitioning = false, union_by_name = true)"
    written = {str(row[0]) for row in con.execute(f"describe select * from {source}").fetchall()}
    if absent := [column for column in snapshot.schema.names if column not in written]:
        con.register(f"__absent_{name}", snapshot.schema.empty_table().select(absent))
        source = f"(from {source} union all by name from {quoted(f'__absent_{name}')})"
    attach_query(con, name, f"select {', '.join(map(quoted, snapshot.schema.names))} from {source}")


def attach_arrow(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Make the view `name` over an Arrow table, which stays in place."""
    con.register(f"__arrow_{name}", table)
    attach_query(con, name, f"select * from {quoted(f'__arrow_{name}')}")


def attach_query(con: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    """Make the view `name` over a query; it follows what stands in for the relations that it reads."""
    con.execute(f"drop view if exists temp.main.{quoted(name)}")
    con.execute(f"create or replace view {base(name)} as {select}")


def base(name: str) -> str:
    """Return the SQL name of what was attached as `name`, also while a temporary view stands in front of it."""
    return f"memory.main.{quoted(name)}"


def stand_in(con: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    """Put a temporary view in front of the attached `name` until the next attach; `base(name)` still reads the whole."""
    con.execute(f"create or replace temp view {quoted(name)} as {select}")
