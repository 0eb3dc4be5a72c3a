"""Publish modes, quarantine and release with the lake in a bucket."""

import pytest
from ingestion.ledger import FILE, Ledger, day, ledger_spec, row
from services import aws, bucket, moto

from mlops_assets.lake.tables import read

__all__ = ["aws", "bucket", "moto"]
STRICT = {"rules": [{"name": "positive", "sql": "balance >= 0"}]}
LOOSE = {"rules": [{"name": "positive", "sql": "balance >= -10"}]}


@pytest.mark.service
@pytest.mark.parametrize(("source", "publish"), [("grows", "append"), ("whole", "upsert"), ("daily", "history")])
def test_loads_and_releases_in_a_bucket_have_each_row_once(bucket, tmp_path, monkeypatch, source, publish):
    monkeypatch.setenv(FILE, "")
    one = Ledger(tmp_path, ledger_spec(source, publish, **STRICT))
    one.use_lake(f"{bucket}/lake")
    windows = (day(1),) if source == "daily" else ()
    rows = [row(1, 1), row(2, 2, -1.0)]
    first = one.load(*rows, windows=windows)
    assert one.again(windows=windows).version == first.version
    one.requarantine(ledger_spec(source, publish, **LOOSE))
    one.load(*rows, row(3, 3), windows=windows, spec=ledger_spec(source, publish, **LOOSE))
    assert one.published == [*rows, row(3, 3)]
    assert read(one.quarantine_uri).num_rows == 0
