"""Delta tables: immutable snapshots to read, and two ways to write, each one commit that is safe beside a concurrent twin.

Add here: what any table needs. Keep out: what a table means, and SQL (`engine.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mlops_assets.lake.commit import PROPERTIES_KEY, Write, commit
from mlops_assets.lake.delta import TableNotFound, UnhandledFeature, open_table, place
from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

WINDOW_COLUMN = "_window"
PARTITIONED = (WINDOW_COLUMN,)


@dataclass(frozen=True)
class Snapshot:
    """One version of a table, as the files that hold it.

    Attributes:
        uri: Place of the table.
        version: Delta version.
        files: Places of the Parquet files, in order of window.
        schema: Columns without the hidden window column.
        partition_columns: Columns that Delta keeps in paths, `_window` among them if the table is published by window.
        constants: By file, the values of columns that are not in it. Other writers keep them in paths or in Delta's log.
        types: DuckDB types that columns are cast to, where a table of others has similar ones.
        where: Which rows count, as a DuckDB predicate; none: all.
    """

    uri: str
    version: int
    files: tuple[str, ...]
    schema: pa.Schema
    partition_columns: tuple[str, ...]
    constants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None


def exists(uri: str) -> bool:
    """Tell whether a table is at `uri`."""
    from deltalake import DeltaTable

    return DeltaTable.is_deltatable(place(uri))


def newest_version(uri: str) -> int | None:
    """Return the newest version of a table, or None if there is no table."""
    return open_table(uri).version() if exists(uri) else None


def snapshot(uri: str, version: int | None = None, *, window: str | Collection[str] | None = None) -> Snapshot:
    """Return the newest version of a table, or `version`; with `window`, only the files of that window, or of several.

    Raises:
        TableNotFound: No such table or version.
        UnhandledFeature: The table uses a Delta feature that a list of files cannot express.
    """
    whole, files = with_windows(uri, version)
    if window is None:
        return whole
    wanted = {window} if isinstance(window, str) else set(window)
    return replace(whole, files=tuple(sorted(file for name in wanted for file in files.get(name, ()))))


def with_windows(uri: str, version: int | None = None) -> tuple[Snapshot, dict[str, tuple[str, ...]]]:
    """Return a version of a table, and the files of each of its windows.

    Raises:
        TableNotFound: No such table or version.
        UnhandledFeature: The table uses a Delta feature that a list of files cannot express.
    """
    import pyarrow as pa

    table = open_table(uri, version)
    partitions = tuple(table.metadata().partition_columns)
    if extra := [column for column in partitions if column != WINDOW_COLUMN]:
        raise UnhandledFeature(uri, [f"partition column {column}" for column in extra])
    actions = pa.table(table.get_add_actions(flatten=True))
    files = [join(place(uri), unquote(path)) for path in actions["path"].to_pylist()]
    windows: dict[str, list[str]] = {}
    if partitions:
        for name, file in zip(actions[f"partition.{WINDOW_COLUMN}"].to_pylist(), files, strict=True):
            windows.setdefault(name, []).append(file)
    schema = pa.schema(table.schema().to_arrow())
    visible = pa.schema([field for field in schema if field.name not in partitions])
    whole = Snapshot(uri, table.version(), tuple(sorted(files)), visible, partitions)
    return whole, {name: tuple(sorted(found)) for name, found in windows.items()}


def read(
    uri: str, *, version: int | None = None, columns: Sequence[str] | None = None, window: str | None = None
) -> pa.Table:
    """Return the rows of a table, in the order in which they were written, windows in order of their key."""
    from mlops_assets.lake.engine import attach, connect, quoted

    with connect() as con:
        attach(con, "wanted", snapshot(uri, version, window=window))
        return con.sql(f"select {', '.join(map(quoted, columns)) if columns else '*'} from wanted").to_arrow_table()


def replace_window(uri: str, table: pa.Table, *, window: str) -> int:
    """Make `table` the rows of one window, in one commit; an empty table deletes them. New columns are added, nullable.

    Returns:
        The version of the commit.

    Raises:
        ColumnTypeChanged: A column has another type than in the table.
        WriteContention: Too many concurrent writers.
    """
    write = Write(in_window(table, window), predicate=predicate_of([window]), partition_by=PARTITIONED, exclusive=False)
    return _committed(uri, write)


def in_window(table: pa.Table, window: str) -> pa.Table:
    """Return the rows with the hidden column that says to which window they belong."""
    import pyarrow as pa

    return table.append_column(WINDOW_COLUMN, pa.array([window] * table.num_rows, pa.string()))


def in_windows(parts: Sequence[tuple[str, pa.Table]]) -> pa.Table:
    """Return the rows of several windows; a column that only some have is null in the others."""
    import pyarrow as pa

    return pa.concat_tables([in_window(table, window) for window, table in parts], promote_options="default")


def predicate_of(windows: Sequence[str]) -> str:
    """Return the predicate that is true for the rows of some windows.

    >>> predicate_of(["a", "b"])
    "_window in ('a', 'b')"
    """
    literals = ", ".join("'" + window.replace("'", "''") + "'" for window in windows)
    return f"{WINDOW_COLUMN} in ({literals})"


def overwrite(uri: str, table: pa.Table, *, properties: Mapping[str, str] | None = None) -> int:
    """Make `table` the whole content, schema included, in one commit.

    Args:
        properties: Facts stored with the commit, for `commit_properties`.

    Returns:
        The version of the commit.

    Raises:
        WriteContention: Too many concurrent writers.
    """
    return _committed(uri, Write(table, schema_mode="overwrite", properties=properties or {}))


def _committed(uri: str, write: Write) -> int:
    version = commit(uri, lambda _: write)
    assert version is not None  # there is something to write
    return version


def commit_properties(uri: str, version: int) -> dict[str, str]:
    """Return the facts that one of our own commits last stored at or before a version; others' commits carry none.

    Raises:
        TableNotFound: No such table or version.
    """
    for earlier in range(version, 0, -1):
        if (facts := _facts(uri, earlier)) is not None:
            return facts
    return {}


def windows(uri: str, version: int) -> list[str]:
    """Return the windows that have rows in a version of a table that is published by window, in order."""
    return sorted(with_windows(uri, version)[1])


def _facts(uri: str, version: int) -> dict[str, str] | None:
    try:
        log = read_bytes(join(place(uri), "_delta_log", f"{version:020d}.json"))
    except FileNotFoundError as error:
        raise TableNotFound(uri, version=version, detail="no such version") from error
    actions = [json.loads(line) for line in log.splitlines()]
    facts = next((action["commitInfo"].get(PROPERTIES_KEY) for action in actions if "commitInfo" in action), None)
    return None if facts is None else json.loads(facts)
