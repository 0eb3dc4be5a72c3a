"""Tables that somebody else writes, as the files that hold them: Delta tables, Parquet files and folders, where they are.

Keep out: who may read which rows (`contract/`). Our own tables are opened by `tables.py`, which is stricter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mlops_assets.errors import MlopsError
from mlops_assets.lake.delta import UnhandledFeature, opened, place
from mlops_assets.lake.engine import connect, describe_files
from mlops_assets.lake.files import exists as is_file
from mlops_assets.lake.remote import open_store
from mlops_assets.lake.tables import WINDOW_COLUMN, Snapshot, exists
from mlops_assets.lake.uris import is_local, join, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from deltalake import DeltaTable

SUFFIXES = (".parquet", ".parq", ".pq")
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
DELETION_VECTORS, COLUMN_MAPPING = "deletionVectors", "columnMapping"
# What a reader need not care about: deltalake itself reads the log, whatever its checkpoints are.
HARMLESS = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})


class NoParquetFiles(MlopsError):
    """A place holds no Parquet file."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            uri,
            found="no Parquet file",
            required=f"a file, or a folder with files that end in {', '.join(SUFFIXES)}",
            remedy="Correct `uri` in the Ingestion file, or run what writes the files.",
        )


class DeltaReadAsParquet(MlopsError):
    """A folder of Parquet files is a Delta table, whose log says which of them count."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            uri,
            found="a Delta table",
            required="Parquet files without `_delta_log`",
            remedy="Write `format: delta` in the Ingestion file.",
        )


@dataclass(frozen=True)
class Stamp:
    """One Parquet file as it was seen.

    Attributes:
        path: Below the place of the table; empty if the place is the file.
        modified_at: Nanoseconds since 1970, as precise as the store keeps it.
    """

    path: str
    size: int
    modified_at: int


def delta_snapshot(uri: str, version: int | None = None) -> Snapshot:
    """Return the newest version of anybody's Delta table, or `version`; partition columns become constants of files.

    Raises:
        TableNotFound: No such table or version.
        UnhandledFeature: A list of files cannot express what the table holds.
    """
    import pyarrow as pa

    table = opened(uri, version)
    if features := _unhandled(table):
        raise UnhandledFeature(uri, features)
    partitions = [column for column in table.metadata().partition_columns if column != WINDOW_COLUMN]
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    constants = {
        _absolute(uri, action["path"]): {one: action[f"partition.{one}"] for one in partitions} for action in actions
    }
    schema = pa.schema(table.schema().to_arrow())
    visible = pa.schema([field for field in schema if field.name != WINDOW_COLUMN])
    return Snapshot(
        uri, table.version(), tuple(sorted(constants)), visible, tuple(partitions), constants if partitions else {}
    )


def parquet_snapshot(uri: str, stamps: Sequence[Stamp]) -> Snapshot:
    """Return Parquet files as a table; `name=value` in their paths is a column, as text."""
    import pyarrow as pa

    files = {file_of(uri, one): _in_path(one.path) for one in stamps}
    with connect() as con:
        schema = describe_files(con, uri, list(files))
    extra = sorted({name for values in files.values() for name in values if name not in schema.names})
    for name in extra:
        schema = schema.append(pa.field(name, pa.string()))
    constants: Mapping[str, Mapping[str, Any]] = {
        file: {name: values.get(name) for name in extra} for file, values in files.items()
    }
    return Snapshot(uri, 0, tuple(files), schema, tuple(extra), constants if extra else {})


def list_parquet(uri: str) -> tuple[Stamp, ...]:
    """Return the Parquet files at or below a place, in order of path; what begins with `_` or `.` is left out.

    Raises:
        NoParquetFiles: There is none.
        DeltaReadAsParquet: The files belong to a Delta table, which may have given some of them up.
    """
    if not is_file(uri) and exists(uri):
        raise DeltaReadAsParquet(uri)
    found = sorted(_local(uri) if is_local(uri) else _remote(uri), key=lambda one: one.path)
    if not found:
        raise NoParquetFiles(uri)
    return tuple(found)


def file_of(uri: str, stamp: Stamp) -> str:
    """Return the place of a file."""
    return join(place(uri), stamp.path) if stamp.path else place(uri)


def _unhandled(table: DeltaTable) -> list[str]:
    """Return what a reader of the files alone would get wrong."""
    features = {*(table.protocol().reader_features or ())} - HARMLESS - {COLUMN_MAPPING}
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        features.add(COLUMN_MAPPING)
    elif DELETION_VECTORS in features and not _has_deletion_vectors(table):
        features.remove(DELETION_VECTORS)
    return sorted(features)


def _has_deletion_vectors(table: DeltaTable) -> bool:
    from deltalake.exceptions import DeltaError

    try:
        return any(batch.num_rows for batch in table.deletion_vectors())
    except DeltaError:  # there is one, and it cannot be read
        return True


def _absolute(uri: str, path: str) -> str:
    """Return the place of a file of Delta's log, which a shallow clone keeps elsewhere."""
    return unquote(path) if "://" in path or path.startswith("/") else join(place(uri), unquote(path))


def _in_path(path: str) -> dict[str, str | None]:
    pairs = [part.split("=", 1) for part in path.split("/")[:-1] if "=" in part]
    return {name: None if value == HIVE_NULL else unquote(value) for name, value in pairs}


def _is_data(path: str) -> bool:
    *folders, name = path.split("/")
    hidden = any(part.startswith(("_", ".")) and "=" not in part for part in folders)
    return name.endswith(SUFFIXES) and not name.startswith(("_", ".")) and not hidden


def _local(uri: str) -> Iterator[Stamp]:
    root = local_path(uri)
    found = {"": root} if root.is_file() else {path.relative_to(root).as_posix(): path for path in root.rglob("*")}
    for name, path in found.items():
        if not name or (_is_data(name) and path.is_file()):
            facts = path.stat()
            yield Stamp(name, facts.st_size, facts.st_mtime_ns)


def _remote(uri: str) -> Iterator[Stamp]:
    from pyarrow.fs import FileSelector

    store, key = open_store(uri)
    root = store.get_file_info(key)
    found = [root] if root.is_file else store.get_file_info(FileSelector(key, recursive=True, allow_not_found=True))
    for one in found:
        name = one.path.removeprefix(key).strip("/")
        if one.is_file and (not name or _is_data(name)):
            yield Stamp(name, int(one.size or 0), int(one.mtime_ns or 0))
