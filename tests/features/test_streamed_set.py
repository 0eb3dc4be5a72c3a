"""A stored training set that is opened and not read: verified all the same, in whatever place it is."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from services import aws, bucket, moto

from mlops_assets.features.labels import LabelCounts
from mlops_assets.features.training_set import (
    DATA,
    MANIFEST,
    CorruptTrainingSet,
    Manifest,
    TrainingSet,
    content_sha256,
    load,
    save,
)
from mlops_assets.lake.stored_table import StoredTable

__all__ = ["aws", "bucket", "moto"]
FEATURES = {"size": "numeric", "colour": "categorical"}


def _save(lake):
    rows = 500
    table = pa.table(
        {
            "prediction_time": pa.array(range(rows), pa.timestamp("us", "UTC")),
            "label": [i % 2 for i in range(rows)],
            "size": [None if i % 7 == 0 else i / 3 for i in range(rows)],
            "colour": pa.array([None if i % 5 == 0 else f"c{i % 3}" for i in range(rows)]).dictionary_encode(),
        }
    )
    manifest = Manifest(
        sha256=content_sha256(table, FEATURES),
        as_of=datetime(2024, 1, 1, tzinfo=UTC),
        rows=rows,
        labels=LabelCounts(labelled=rows),
        features=FEATURES,
        spine_definition="",
        request_sha256=None,
        sources={},
        views={},
        libraries={},
    )
    return save(TrainingSet(table, manifest), str(lake), "shop").uri, table


def test_an_opened_set_is_the_one_that_was_saved(tmp_path):
    uri, table = _save(tmp_path)
    opened = load(uri, data="stream")
    assert isinstance(opened.table, StoredTable)
    assert opened.manifest == load(uri).manifest
    assert opened.table.take(np.arange(table.num_rows)).equals(load(uri).table)


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_file_cut_short_is_not_opened(tmp_path, size):
    uri, _ = _save(tmp_path)
    data = Path(uri, DATA)
    data.write_bytes(data.read_bytes()[:size])
    with pytest.raises(CorruptTrainingSet, match="required a Parquet file and its manifest"):
        load(uri, data="stream")


def test_other_rows_are_not_opened(tmp_path):
    uri, table = _save(tmp_path)
    pq.write_table(table.slice(1), Path(uri, DATA))
    with pytest.raises(CorruptTrainingSet, match="rows with sha256"):
        load(uri, data="stream")


def test_a_damaged_page_is_not_opened(tmp_path):
    uri, _ = _save(tmp_path)
    data = bytearray(Path(uri, DATA).read_bytes())
    data[200:240] = bytes(40)
    Path(uri, DATA).write_bytes(data)
    with pytest.raises(CorruptTrainingSet):
        load(uri, data="stream")


@pytest.mark.parametrize("file", [DATA, MANIFEST])
def test_a_missing_file_is_named(tmp_path, file):
    uri, _ = _save(tmp_path)
    Path(uri, file).unlink()
    with pytest.raises(CorruptTrainingSet, match=f"no file .*{file}"):
        load(uri, data="stream")


@pytest.mark.service
def test_a_set_in_a_bucket(bucket):
    uri, table = _save(bucket)
    assert load(uri, data="stream").table.take(np.arange(9)).equals(table.slice(0, 9))
    with pytest.raises(CorruptTrainingSet, match="no file"):
        load(f"{bucket}/elsewhere", data="stream")
