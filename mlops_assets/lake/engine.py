"""DuckDB in memory, reading the files of Delta snapshots: the one place that runs SQL over the lake.

One thread and UTC by default, so that sums and averages come out the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.lake.remote import register
from mlops_assets.lake.uris import is_local

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.lake.tables import Snapshot

FILE = "__file"


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
    source = _with_constants(con, name, snapshot, _files(snapshot.files))
    written = columns_of(con, source)
    if absent := [column for column in snapshot.schema.names if column not in written]:
        con.register(f"__absent_{name}", snapshot.schema.empty_table().select(absent))
        source = f"(from {source} union all by name from {quoted(f'__absent_{name}')})"
    columns = ", ".join(_typed(column, snapshot.types) for column in snapshot.schema.names)
    where = f"where {snapshot.where}" if snapshot.where else ""
    attach_query(con, name, f"from (select {columns} from {source}) {where}")


def describe_files(con: duckdb.DuckDBPyConnection, uri: str, files: Sequence[str]) -> pa.Schema:
    """Return the columns of Parquet files that belong together."""
    if not is_local(uri):
        register(con, uri)
    return con.sql(f"from {_files(files)} limit 0").to_arrow_table().schema


def columns_of(con: duckdb.DuckDBPyConnection, source: str) -> list[str]:
    """Return the columns of a relation or of a query in brackets."""
    return [str(row[0]) for row in con.execute(f"describe select * from {source}").fetchall()]


def _files(files: Sequence[str], options: str = "") -> str:
    places = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{places}], hive_partitioning = false, union_by_name = true{options})"


def _with_constants(con: duckdb.DuckDBPyConnection, name: str, snapshot: Snapshot, source: str) -> str:
    """Return the source with the columns that its files leave out, joined by the name of the file."""
    import pyarrow as pa

    written = set(columns_of(con, source)) if snapshot.constants else set()
    names = {column for values in snapshot.constants.values() for column in values if column not in written}
    if not names:
        return source
    rows = [{FILE: file, **{one: snapshot.constants[file][one] for one in sorted(names)}} for file in snapshot.files]
    con.register(f"__constants_{name}", pa.Table.from_pylist(rows))
    dated = _files(snapshot.files, f", filename = '{FILE}'")
    return f"(select * exclude ({FILE}) from {dated} join {quoted(f'__constants_{name}')} using ({FILE}))"


def _typed(column: str, types: Mapping[str, str]) -> str:
    return f"{quoted(column)}::{types[column]} as {quoted(column)}" if column in types else quoted(column)


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
