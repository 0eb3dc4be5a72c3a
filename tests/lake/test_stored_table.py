"""A table that stays in its file gives the rows that pyarrow reads from it, whatever the batches and row groups."""

import gc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lake import stored_table
from mlops_assets.lake.stored_table import StoredTable, open_table

TABLE = pa.table({"n": range(1000), "text": [None if i % 7 == 0 else f"row {i}" for i in range(1000)]})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    for size in (1, 7, 64, 1000):
        pq.write_table(TABLE, folder / f"{size}.parquet", row_group_size=size)
    return folder


@given(
    group=st.sampled_from([1, 7, 64, 1000]),
    batch=st.sampled_from([1, 3, 50, 10_000]),
    rows=st.sets(st.integers(0, 999), max_size=80),
)
def test_any_rows_in_any_batches_are_those_of_the_file(files, group, batch, rows):
    wanted = np.array(sorted(rows), dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_table, "BATCH_ROWS", batch)
        stored = open_table(str(files / f"{group}.parquet"))
        assert stored.take(wanted).equals(TABLE.take(wanted))
        assert all(0 < part.num_rows <= batch for part in stored.batches(wanted))


def test_it_answers_like_the_table(files):
    stored = open_table(str(files / "64.parquet"))
    assert (stored.num_rows, stored.column_names) == (1000, ["n", "text"])
    assert stored["text"].combine_chunks() == TABLE["text"].combine_chunks()
    keep = np.arange(1000) % 3 == 0
    assert stored.filter(keep).equals(TABLE.filter(keep))


def test_a_file_without_rows(tmp_path):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "none.parquet")
    stored = StoredTable(tmp_path / "none.parquet")
    assert stored.take(np.arange(0)).equals(TABLE.slice(0, 0))


@pytest.mark.service
def test_a_file_in_a_bucket_is_copied_and_the_copy_removed(bucket, tmp_path):
    from mlops_assets.lake.files import write_bytes

    pq.write_table(TABLE, tmp_path / "t.parquet")
    write_bytes(f"{bucket}/set/data.parquet", (tmp_path / "t.parquet").read_bytes())
    stored = open_table(f"{bucket}/set/data.parquet")
    copy = Path(stored.path)
    assert stored.take(np.arange(1000)).equals(TABLE)
    del stored
    gc.collect()
    assert not copy.exists()
    with pytest.raises(FileNotFoundError):
        open_table(f"{bucket}/set/none.parquet")
