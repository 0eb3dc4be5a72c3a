"""A table that stays in its Parquet file, for more rows than memory holds: what is asked for is read, the rest is not.

It answers to the part of Arrow's `Table` that training and evaluation use, so that these need not know which they have.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from mlops_assets.lake.remote import open_store
from mlops_assets.lake.uris import is_local, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    Rows = np.ndarray[Any, Any]

BATCH_ROWS = 131_072
COPY_BYTES = 16 * 2**20


@dataclass(frozen=True)
class StoredTable:
    """The rows of one local Parquet file.

    Attributes:
        scratch: Folder that is removed with this object: it holds the file if that came from an object store.
    """

    path: Path
    scratch: TemporaryDirectory[str] | None = None

    @cached_property
    def schema(self) -> pa.Schema:
        return self._open().schema_arrow

    @property
    def column_names(self) -> list[str]:
        return self.schema.names

    @cached_property
    def num_rows(self) -> int:
        return self._open().metadata.num_rows

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        """Read one whole column."""
        return self._open().read(columns=[name])[name]

    def take(self, rows: Rows) -> pa.Table:
        """Read some rows, given by ascending number."""
        import pyarrow as pa

        return pa.concat_tables([self.schema.empty_table(), *self.batches(rows)])

    def filter(self, keep: Rows) -> pa.Table:
        """Read the rows for which `keep` is true."""
        import numpy as np

        return self.take(np.flatnonzero(keep))

    def batches(self, rows: Rows) -> Iterator[pa.Table]:
        """Read some rows, given by ascending number, in batches of at most `BATCH_ROWS`, none of them empty."""
        import numpy as np
        import pyarrow as pa

        file, start = self._open(), 0
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            low, high = np.searchsorted(rows, (start, end))
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group]) if low < high else ():
                low, high = np.searchsorted(rows, (start, start + batch.num_rows))
                if wanted := high - low:
                    is_whole = wanted == batch.num_rows
                    yield pa.Table.from_batches([batch if is_whole else batch.take(pa.array(rows[low:high] - start))])
                start += batch.num_rows
            start = end

    def _open(self) -> pq.ParquetFile:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path, pre_buffer=False)  # else it keeps what it has read


def open_table(uri: str) -> StoredTable:
    """Open a Parquet file of the lake; one in an object store is copied to this machine first, in parts.

    Raises:
        FileNotFoundError: Nothing is there.
    """
    if is_local(uri):
        return StoredTable(local_path(uri))
    store, place = open_store(uri)
    scratch = TemporaryDirectory(prefix="mlops-stored-")
    path = Path(scratch.name, "data.parquet")
    with store.open_input_stream(place) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, COPY_BYTES)
    return StoredTable(path, scratch)
