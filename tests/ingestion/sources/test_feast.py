"""Feature views of a real Feast repository, loaded as tables."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.ingestion.sources.feast import NoFeastView
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.ingestion.staging import stage
from mlops_assets.lake.windows import Window

VIEWS = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float64, Int64
from feast.value_type import ValueType

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FeatureView(
    name="driver_stats", entities=[driver], ttl=timedelta(days=1),
    schema=[Field(name="driver_id", dtype=Int64), Field(name="rate", dtype=Float64), Field(name="trips", dtype=Int64)],
    source=FileSource(name="rows", path={path!r}, timestamp_field="at", created_timestamp_column="loaded",
                      field_mapping={{"n_trips": "trips"}}),
)
"""
STORE = """
project: drivers
provider: local
registry: registry.db
entity_key_serialization_version: 3
offline_store: {{type: {store}}}
online_store: {{type: sqlite, path: online.db}}
"""
COLUMNS = {
    "driver_id": "BIGINT",
    "rate": "DOUBLE",
    "trips": "BIGINT",
    "event_timestamp": "TIMESTAMPTZ",
    "created_timestamp": "TIMESTAMPTZ",
}


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 3, day, hour, tzinfo=UTC)


ROWS = [
    (1, 0.5, 10, at(1), at(1, 2)),
    (1, 0.25, 12, at(2), at(2, 2)),
    (2, None, 3, at(2, 12), at(4)),
    (2, 1.0, 4, at(3), at(3)),
]


pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("feast", reason="the extra `feast` is not installed")
    tmp_path = tmp_path_factory.mktemp("feast")
    folder, rows = tmp_path / "repo", tmp_path / "rows.parquet"
    folder.mkdir()
    frame = pd.DataFrame(ROWS, columns=["driver_id", "rate", "n_trips", "at", "loaded"])
    frame.to_parquet(rows, coerce_timestamps="us")
    (folder / "views.py").write_text(VIEWS.format(path=str(rows)))
    (folder / "feature_store.yaml").write_text(STORE.format(store="file"))
    subprocess.run(
        [Path(sys.executable).with_name("feast"), "--chdir", folder, "apply"], check=True, capture_output=True
    )
    return folder


@pytest.fixture(params=["duckdb", "file"])
def repo(request, applied: Path, tmp_path: Path) -> Path:
    """Return the repository with one kind of offline store; what was applied does not depend on it."""
    folder = Path(shutil.copytree(applied, tmp_path / "repo"))
    (folder / "feature_store.yaml").write_text(STORE.format(store=request.param))
    return folder


def spec_of(repo: Path, *, partitioned: bool, view: str = "driver_stats") -> IngestionSpec:
    partitions = {"every": "day", "column": "event_timestamp", "start": "2024-03-01"}
    return IngestionSpec.model_validate(
        {
            "name": "drivers",
            "description": "Drivers, from Feast.",
            "source": {"type": "feast", "repo": str(repo), "tables": {"stats": {"view": view}}},
            "partitions": partitions if partitioned else None,
            "tables": {"stats": {"description": "One hour of one driver.", "columns": COLUMNS}},
        }
    )


def loaded(spec: IngestionSpec, folder: Path, window: Window | None) -> list[tuple]:
    table = stage(spec, ["stats"], window=window, folder=folder).tables["stats"].select(list(COLUMNS))
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=lambda row: row[3])


def test_the_whole_history_of_a_view_is_loaded(repo: Path, tmp_path: Path) -> None:
    assert loaded(spec_of(repo, partitioned=False), tmp_path / "work", None) == ROWS


def test_a_window_has_its_start_and_not_its_end(repo: Path, tmp_path: Path) -> None:
    second = Window("2024-03-02", at(2), at(3))

    assert loaded(spec_of(repo, partitioned=True), tmp_path / "work", second) == ROWS[1:3]


def test_a_view_that_is_not_registered_is_named(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(NoFeastView, match=r"view stats_of_driver: found the views driver_stats"):
        loaded(spec_of(repo, partitioned=False, view="stats_of_driver"), tmp_path / "work", None)
