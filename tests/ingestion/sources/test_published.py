"""Configured sources all the way into the lake: a failed load changes nothing, the next one goes on."""

from datetime import UTC, datetime
from typing import Any

import pytest
from deltalake import DeltaTable
from ingestion.sources.test_rest import ORDERS, by_time, sent, since, source
from ingestion.sources.world import days, order, spec_of

from mlops_assets.ingestion.ingest import ingest
from mlops_assets.ingestion.sources.failures import SourceFailed

NOW = datetime(2024, 4, 1, tzinfo=UTC)
SECRET = "0h-my+hunter/2"


@pytest.fixture
def load(tmp_path, api, monkeypatch):
    """Ingest the orders of the API, and return what the table has then."""
    monkeypatch.setenv("SHOP_KEY", SECRET)
    api.selects, api.allowed = since, lambda asked: asked.query.get("k") == SECRET
    auth = {"type": "api_key", "key": "SHOP_KEY", "location": "query", "name": "k"}

    def ingested(window=None, **keys: Any) -> list[int]:
        described = source(api, "link", by_time(end_param="until"), auth=auth, max_attempts=1)
        spec = spec_of(described, partitioned=window is not None, **keys)
        windows = [window] if window else []
        ingest(spec, ["orders"], windows=windows, lake=str(tmp_path / "lake"), folder=tmp_path / "work", now=NOW)
        return published()

    def published() -> list[int]:
        return sorted(DeltaTable(str(tmp_path / "lake/raw/shop/orders")).to_pyarrow_table()["order_id"].to_pylist())

    ingested.published = published
    return ingested


@pytest.mark.parametrize("publish", ["append", "history"])
def test_a_load_that_fails_on_a_page_leaves_the_table_and_the_next_goes_on_from_the_last_good_one(api, load, publish):
    api.rows = [sent(row) for row in ORDERS[:3]]
    assert load(publish=publish) == [0, 1, 2]
    api.rows = [sent(row) for row in ORDERS]
    api.faults = [None, (500, {})]
    with pytest.raises(SourceFailed):
        load(publish=publish)
    assert load.published() == [0, 1, 2]
    assert load(publish=publish) == [0, 1, 2, 3, 4, 5, 6]
    assert {one.query["since"] for one in api.asked[2:]} == {"2024-03-03T12:00:00Z"}
    assert load(publish=publish) == [0, 1, 2, 3, 4, 5, 6]


def test_a_window_that_fails_stays_as_it_was(api, load):
    api.rows = [sent(order(1, 3)), sent(order(2, 3)), sent(order(3, 3))]
    assert load(days(3)) == [1, 2, 3]
    api.rows, api.faults = api.rows[:1], ["cut"]
    with pytest.raises(SourceFailed):
        load(days(3))
    assert load.published() == [1, 2, 3]
    assert load(days(3)) == [1]


def test_no_secret_is_in_the_lake_or_in_what_a_failure_leaves(tmp_path, api, load):
    api.rows = [sent(row) for row in ORDERS]
    load(publish="append")
    api.faults = [(500, {})]
    with pytest.raises(SourceFailed) as raised:
        load(publish="append")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("verdict" in str(path) for path in files)
    assert any("work" in str(path) for path in files)
    assert [path for path in files if SECRET.encode() in path.read_bytes() or b"hunter%2F2" in path.read_bytes()] == []
    assert "hunter" not in str(raised.value)
