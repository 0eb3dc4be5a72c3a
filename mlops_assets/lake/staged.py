"""The rows of one window, written part by part and judged before anybody sees them: then published in one commit, or dropped.

The file lies in the table's folder from the start, but no version of the table names it until `publish`. What a process that
died leaves there is removed by the table's upkeep, like any file that no version needs. The rows keep their order.

Keep out: tables that are small enough to be committed at once (`tables.py`).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from uuid import uuid4

from mlops_assets.lake.commit import (
    APPLICATION,
    PROPERTIES_KEY,
    arrow_schema,
    create,
    require_same_types,
    retried,
    storable_schema,
)
from mlops_assets.lake.delta import open_table, place
from mlops_assets.lake.remote import open_store
from mlops_assets.lake.tables import PARTITIONED, WINDOW_COLUMN, exists
from mlops_assets.lake.uris import is_local, join, local_path

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem


class StagedWindow:
    """The rows of one window of the table at `uri`, not yet visible.

    Attributes:
        rows: Written so far.
    """

    def __init__(self, uri: str, window: str, schema: pa.Schema) -> None:
        """Begin a file for rows of `schema`; a table that is there must have these types.

        Raises:
            ColumnTypeChanged: A column has another type in the table.
        """
        import pyarrow.parquet as pq

        self.rows = 0
        self._uri, self._window, self._schema = uri, window, storable_schema(schema)
        if exists(uri):
            require_same_types(uri, arrow_schema(open_table(uri)), self._schema)
        folder = quote(f"{WINDOW_COLUMN}={window}", safe="=")
        self._path = f"{folder}/part-{uuid4()}.parquet"
        self._store, self._file = _store_of(join(place(uri), self._path))
        self._store.create_dir(self._file.rpartition("/")[0], recursive=True)
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(
            self._file,
            self._schema,
            filesystem=self._store,
            use_dictionary=_repeating(self._schema),  # pyright: ignore[reportArgumentType]  it takes names too
        )

    def write(self, table: pa.Table) -> None:
        """Add rows behind those that were written."""
        assert self._writer is not None
        self._writer.write_table(table.cast(self._schema, safe=False))
        self.rows += table.num_rows

    def publish(self) -> int:
        """Make these the rows of the window, in one commit; return its version. No rows empty the window.

        Raises:
            WriteContention: Too many concurrent writers; nothing was published.
        """
        self._close()
        version = retried(self._uri, self._commit)
        if not self.rows:
            self.discard()
        assert version is not None
        return version

    def move(self, uri: str) -> StagedWindow:
        """Take the file to the table at another place, to be published there."""
        self._close()
        moved = StagedWindow(uri, self._window, self._schema)
        moved._close()
        self._store.move(self._file, moved._file)
        moved.rows = self.rows
        return moved

    def discard(self) -> None:
        """Remove the file."""
        self._close()
        self._store.delete_file(self._file)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _commit(self) -> int:
        from deltalake import CommitProperties, Transaction

        delta = self._table()
        now = int(time.time() * 1000)
        actions: list[Any] = [*_removals(delta, self._window, now), *self._addition(now)]
        delta.create_write_transaction(
            actions,
            mode="append",
            schema=delta.schema(),
            partition_by=list(PARTITIONED),
            # Two writers of one empty window would both succeed otherwise; those of other windows are not in the way.
            commit_properties=CommitProperties(
                {PROPERTIES_KEY: json.dumps({})},
                app_transactions=[Transaction(f"{APPLICATION}/{self._window}", delta.version() + 1)],
            ),
        )
        return open_table(self._uri).version()

    def _table(self) -> DeltaTable:
        """Return the newest version; columns that it lacks are added to it first, null in its rows."""
        import pyarrow as pa
        from deltalake import Schema

        if not exists(self._uri):
            hidden = pa.field(WINDOW_COLUMN, pa.string())
            return create(self._uri, self._schema.append(hidden), list(PARTITIONED))
        delta = open_table(self._uri)
        held = arrow_schema(delta)
        require_same_types(self._uri, held, self._schema)
        if added := [field for field in self._schema if field.name not in held.names]:
            delta.alter.add_columns(Schema.from_arrow(pa.schema(added)).fields)
            return open_table(self._uri)
        return delta

    def _addition(self, now: int) -> list[Any]:
        from deltalake.transaction import AddAction

        if not self.rows:
            return []
        size, stats = self._store.get_file_info(self._file).size, json.dumps({"numRecords": self.rows})
        return [AddAction(self._path, size, {WINDOW_COLUMN: self._window}, now, True, stats)]


def _removals(delta: DeltaTable, window: str, now: int) -> list[Any]:
    import pyarrow as pa
    from deltalake.transaction import RemoveAction

    return [
        RemoveAction(
            path=unquote(one["path"]),
            data_change=True,
            deletion_timestamp=now,
            size=one["size_bytes"],
            partition_values={WINDOW_COLUMN: window},
        )
        for one in pa.table(delta.get_add_actions(flatten=True)).to_pylist()
        if one[f"partition.{WINDOW_COLUMN}"] == window
    ]


def _store_of(uri: str) -> tuple[FileSystem, str]:
    from pyarrow.fs import LocalFileSystem

    return (LocalFileSystem(), str(local_path(uri))) if is_local(uri) else open_store(uri)


def _repeating(schema: pa.Schema) -> list[str]:
    """Return the columns worth a dictionary: not measurements and times, of which hardly any is like another."""
    from pyarrow import types

    return [one.name for one in schema if not (types.is_floating(one.type) or types.is_timestamp(one.type))]
