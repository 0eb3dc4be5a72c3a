"""Delta tables: immutable snapshots to read, and two ways to write, each one commit that is safe beside a concurrent twin.

Add here: what any table needs. Keep out: what a table means, and SQL (`engine.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from mlops_assets.errors import MlopsError
from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.uris import is_local, join, local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from deltalake import DeltaTable

WINDOW_COLUMN = "_window"
HANDLED_FEATURES = frozenset({"timestampNtz", "appendOnly", "invariants"})
PROPERTIES_KEY = "mlops"
CONFIGURATION: dict[str, str | None] = {
    "delta.checkpointInterval": "10",  # opening a table replays the commits since its last checkpoint
    "delta.logRetentionDuration": "interval 1000 weeks",  # old versions stay readable: lineage refers to them
}


class TableNotFound(MlopsError):
    """No table, or not that version of it."""

    def __init__(self, uri: str, *, version: int | None, detail: str) -> None:
        wanted = "" if version is None else f" at version {version}"
        super().__init__(
            uri,
            found=detail,
            required=f"a Delta table{wanted}",
            remedy="Materialise the asset that writes it, then retry.",
        )


class UnhandledFeature(MlopsError):
    """Reading the file list would give wrong rows for this table."""

    def __init__(self, uri: str, features: Sequence[str]) -> None:
        super().__init__(
            uri,
            found=f"Delta features {', '.join(features)}",
            required=f"none but {', '.join(sorted(HANDLED_FEATURES))}",
            remedy="Let its writer publish without them, or copy the table through an Ingestion.",
        )


class ColumnTypeChanged(MlopsError):
    """A write would change the type of a column; the table was left as it was."""

    def __init__(self, uri: str, column: str, *, found: str, required: str) -> None:
        super().__init__(
            f"{uri}, column {column}",
            found=f"type {found}",
            required=f"{required}, the type in the table",
            remedy="Nothing was written. Cast the column at the source, or publish it under a new name.",
        )


class WriteContention(MlopsError):
    """Other writers kept winning the race for the next version."""

    def __init__(self, uri: str, attempts: int) -> None:
        super().__init__(
            uri,
            found=f"{attempts} lost races against other writers",
            required="one commit",
            remedy="Nothing was written. Run again when fewer runs write this table.",
        )


@dataclass(frozen=True)
class Snapshot:
    """One version of a table, as the files that hold it.

    Attributes:
        uri: Place of the table.
        version: Delta version.
        files: Places of the Parquet files, in order of window.
        schema: Columns without the hidden window column.
        partition_columns: Columns that Delta keeps in paths, `_window` among them if the table is published by window.
    """

    uri: str
    version: int
    files: tuple[str, ...]
    schema: pa.Schema
    partition_columns: tuple[str, ...]


def exists(uri: str) -> bool:
    """Tell whether a table is at `uri`."""
    from deltalake import DeltaTable

    return DeltaTable.is_deltatable(_place(uri))


def snapshot(uri: str, version: int | None = None, *, window: str | None = None) -> Snapshot:
    """Return the newest version of a table, or `version`; with `window`, only the files of that window.

    Raises:
        TableNotFound: No such table or version.
        UnhandledFeature: The table uses a Delta feature that a list of files cannot express.
    """
    import pyarrow as pa

    table = _open(uri, version)
    partitions = tuple(table.metadata().partition_columns)
    if extra := [column for column in partitions if column != WINDOW_COLUMN]:
        raise UnhandledFeature(uri, [f"partition column {column}" for column in extra])
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    files = [a["path"] for a in actions if window is None or a.get(f"partition.{WINDOW_COLUMN}") == window]
    schema = pa.schema(table.schema().to_arrow())
    visible = pa.schema([field for field in schema if field.name not in partitions])
    return Snapshot(
        uri, table.version(), tuple(sorted(join(_place(uri), unquote(f)) for f in files)), visible, partitions
    )


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
    import pyarrow as pa

    keyed = table.append_column(WINDOW_COLUMN, pa.array([window] * table.num_rows, pa.string()))
    literal = window.replace("'", "''")
    predicate = f"{WINDOW_COLUMN} = '{literal}'"
    return _commit(uri, keyed, schema_mode="merge", partition_by=[WINDOW_COLUMN], predicate=predicate)


def overwrite(uri: str, table: pa.Table, *, properties: Mapping[str, str] | None = None) -> int:
    """Make `table` the whole content, schema included, in one commit.

    Args:
        properties: Facts stored with the commit, for `commit_properties`.

    Returns:
        The version of the commit.

    Raises:
        WriteContention: Too many concurrent writers.
    """
    return _commit(uri, table, schema_mode="overwrite", partition_by=[], properties=properties)


def commit_properties(uri: str, version: int) -> dict[str, str]:
    """Return the facts that `overwrite` stored with a version.

    Raises:
        TableNotFound: No such table or version.
    """
    try:
        log = read_bytes(join(_place(uri), "_delta_log", f"{version:020d}.json"))
    except FileNotFoundError as error:
        raise TableNotFound(uri, version=version, detail="no such version") from error
    actions = [json.loads(line) for line in log.splitlines()]
    facts = next((action["commitInfo"].get(PROPERTIES_KEY) for action in actions if "commitInfo" in action), None)
    return json.loads(facts or "{}")


def _commit(
    uri: str,
    table: pa.Table,
    *,
    schema_mode: Literal["merge", "overwrite"],
    partition_by: list[str],
    predicate: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> int:
    """Write against the newest version, again when another writer was faster: Delta refuses the later of two twins."""
    from deltalake import CommitProperties, write_deltalake

    facts = CommitProperties({PROPERTIES_KEY: json.dumps(dict(properties or {}), sort_keys=True)})
    stored = _storable(table)

    def attempt() -> int:
        delta = _open_or_create(uri, stored.schema, partition_by)
        if schema_mode == "merge":
            _require_same_types(uri, delta, stored.schema)
        write_deltalake(
            delta, stored, mode="overwrite", schema_mode=schema_mode, predicate=predicate, commit_properties=facts
        )
        return delta.version()

    return _retried(uri, attempt)


def _retried(uri: str, attempt: Callable[[], int], attempts: int = 25) -> int:
    from deltalake.exceptions import CommitFailedError
    from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    retrying = Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.02, max=1),
    )
    try:
        return retrying(attempt)
    except RetryError as error:
        raise WriteContention(uri, attempts) from error


def _storable(table: pa.Table) -> pa.Table:
    """Return the table in types that every Delta reader knows: microseconds, plain values, all nullable."""
    import pyarrow as pa

    def stored(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_dictionary(kind):
            return kind.value_type
        return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else kind

    return table.cast(pa.schema([pa.field(f.name, stored(f.type)) for f in table.schema]), safe=False)


def _open_or_create(uri: str, schema: pa.Schema, partition_by: list[str]) -> DeltaTable:
    from deltalake import DeltaTable

    if not exists(uri):
        DeltaTable.create(
            _place(uri), schema=schema, mode="ignore", partition_by=partition_by, configuration=CONFIGURATION
        )
    return _open(uri, None)


def _open(uri: str, version: int | None) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError
    from deltalake.exceptions import TableNotFoundError as Absent

    try:
        table = DeltaTable(_place(uri), version=version)
    except Absent as error:
        raise TableNotFound(uri, version=version, detail="no table") from error
    except DeltaError as error:
        raise TableNotFound(uri, version=version, detail="no such version") from error
    protocol = table.protocol()
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    if unhandled := sorted(features - HANDLED_FEATURES):
        raise UnhandledFeature(uri, unhandled)
    return table


def _require_same_types(uri: str, delta: DeltaTable, schema: pa.Schema) -> None:
    from deltalake import Schema

    held = {field.name: field.type for field in delta.schema().fields}
    for field in Schema.from_arrow(schema).fields:
        if field.name in held and held[field.name] != field.type:
            found, required = _type_name(field.type), _type_name(held[field.name])
            raise ColumnTypeChanged(uri, field.name, found=found, required=required)


def _type_name(kind: Any) -> str:
    return str(getattr(kind, "type", kind))


def _place(uri: str) -> str:
    return str(local_path(uri)) if is_local(uri) else uri
