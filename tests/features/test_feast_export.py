"""Our views in a real Feast: applied, and asked for the past, they answer as our own join does."""

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from features.world import T0, at, view

from mlops_assets.features.feast_export import NoFeastType, export_views
from mlops_assets.features.join import JoinedView, point_in_time_join
from mlops_assets.lake import tables
from mlops_assets.lake.engine import attach_arrow, connect
from mlops_assets.lake.uris import join

ROWS = [  # customer, event day, known day, return_share, orders
    ("ann", 1, 1, 0.25, 4),
    ("ann", 2, 2, 0.5, 5),
    ("ann", 1, 3, 0.75, 6),  # a late correction of the first day, which the second day outlives
    ("ann", 2, 4, 0.125, 7),  # a late correction of the second day
    ("bob", 1, 1, None, 1),
]
ASKED = [("ann", 0.5), ("ann", 1.5), ("ann", 2.5), ("ann", 3.5), ("ann", 4.5), ("ann", 8), ("bob", 2), ("eve", 2)]
FEATURES = {"return_share": {"description": "A share."}, "orders": {"description": "A count."}}
TTL_DAYS = {"returns": None, "fresh_returns": 5}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a lake in which two views have the same rows."""
    lake = str(tmp_path_factory.mktemp("feast") / "lake")
    table = pa.table(
        {
            "customer": pa.array([row[0] for row in ROWS], pa.string()),
            "event_timestamp": pa.array([at(row[1]) for row in ROWS], pa.timestamp("us", "UTC")),
            "known_at": pa.array([at(row[2]) for row in ROWS], pa.timestamp("us", "UTC")),
            "return_share": pa.array([row[3] for row in ROWS], pa.float64()),
            "orders": pa.array([row[4] for row in ROWS], pa.int64()),
        }
    )
    for name in TTL_DAYS:
        tables.overwrite(join(lake, "features", name), table)
    return lake


@pytest.fixture(scope="module")
def repo(lake: str) -> Path:
    """Return a Feast repository of both views, applied."""
    pytest.importorskip("feast", reason="the extra `feast` is not installed")
    repo = Path(lake).with_name("repo")
    views = [view(name=name, features=FEATURES, ttl_days=days).spec for name, days in TTL_DAYS.items()]
    export_views(views, lake=lake, folder=repo, project="shop")
    subprocess.run([Path(sys.executable).with_name("feast"), "--chdir", repo, "apply"], check=True, capture_output=True)
    return repo


def ours(lake: str, ttl_days: float | None) -> list[tuple]:
    spec = view(features=FEATURES, ttl_days=ttl_days).spec
    spine = pa.table(
        {
            "customer": [customer for customer, _ in ASKED],
            "prediction_time": pa.array([at(day) for _, day in ASKED], pa.timestamp("us", "UTC")),
        }
    )
    with connect() as con:
        attach_arrow(con, "rows", tables.read(join(lake, "features", "returns")))
        found = point_in_time_join(con, spine, [JoinedView(spec, "rows", ("return_share", "orders"))])
    return list(zip(found["return_share"].to_pylist(), found["orders"].to_pylist(), strict=True))


@pytest.mark.extra
@pytest.mark.parametrize(("name", "ttl_days"), TTL_DAYS.items())
def test_feast_answers_as_we_do(lake: str, repo: Path, name: str, ttl_days: float | None) -> None:
    import feast

    asked = pd.DataFrame(
        [(number, customer, at(day)) for number, (customer, day) in enumerate(ASKED)],
        columns=["row", "customer", "event_timestamp"],
    )
    found = (
        feast.FeatureStore(str(repo))
        .get_historical_features(
            asked, features=[f"{name}:return_share", f"{name}:orders"], filter_by_created_timestamp=True
        )
        .to_df()
        .sort_values("row")
    )

    answer = [tuple(None if math.isnan(v) else v for v in row) for row in found[["return_share", "orders"]].to_numpy()]
    assert answer == ours(lake, ttl_days)
    assert ours(lake, None)[2:5] == [(0.5, 5), (0.5, 5), (0.125, 7)]  # by hand


def test_a_type_that_feast_does_not_know_is_refused(tmp_path: Path) -> None:
    when = pa.array([T0], pa.timestamp("us", "UTC"))
    table = pa.table({"customer": ["ann"], "event_timestamp": when, "known_at": when, "return_share": [T0.date()]})
    tables.overwrite(join(str(tmp_path), "features", "returns"), table)

    with pytest.raises(NoFeastType, match=r"column return_share.*date32.*Cast it"):
        export_views([view().spec], lake=str(tmp_path), folder=tmp_path / "repo", project="shop")
