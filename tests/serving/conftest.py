"""A model whose predictions are known in closed form, saved as a real artefact and routed in a real store."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops_assets.lake.state import LocalState
from mlops_assets.predictor.artifact import save
from mlops_assets.predictor.signature import Signature
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic

REQUEST = b"""
import numpy as np

def request_features(columns):
    shout = np.array([None if value is None else value.upper() for value in columns["word"]], dtype=object)
    return {"doubled": columns["half"] * 2, "shout": shout}
"""
SIGNATURE = Signature(
    {"x": "numeric", "colour": "categorical", "doubled": "numeric", "shout": "categorical"},
    "regression",
    request_inputs=("half", "word"),
)

Deploy = Callable[..., int]


def save_model(folder: Path, *, intercept: float, request: bytes = REQUEST, signature: Signature = SIGNATURE) -> Path:
    """Save `intercept + x + 10 doubled + 100 (colour is red) + 1000 (shout is HEY)`, missing numbers being 0."""
    rows = pa.table(
        {
            "x": [0.0, 1.0, 2.0] * 20,
            "colour": ["red", "blue", None] * 20,
            "doubled": [4.0, 5.0, 6.0] * 20,
            "shout": ["HEY", "HO", None] * 20,
        }
    )
    categories: Any = [["red"], ["HEY"]]
    model: Any = LinearRegression()
    to_columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="constant", fill_value=0.0), ["x", "doubled"]),
            ("is", OneHotEncoder(categories=categories, handle_unknown="ignore"), ["colour", "shout"]),
        ],
        sparse_threshold=0,
    )
    pipeline = make_pipeline(to_columns, model).fit(rows.to_pandas(), np.zeros(60))
    model.coef_, model.intercept_ = np.array([1.0, 10.0, 100.0, 1000.0]), intercept
    save(folder, pipeline, signature=signature, rows=rows, facts={}, request_source=request)
    return folder


@pytest.fixture
def state(tmp_path: Path) -> LocalState:
    return LocalState(str(tmp_path / "lake" / "dev"))


@pytest.fixture
def deploy(tmp_path: Path, state: LocalState) -> Deploy:
    """Save a version of a model, whose intercept is its number, and route it; `spoil` acts on its folder before."""

    def run(version: int, *, model: str = "churn", spoil: Callable[[Path], object] | None = None) -> int:
        folder = save_model(tmp_path / "models" / model / str(version), intercept=version)
        if spoil is not None:
            spoil(folder)
        route = Route(version, f"run{version}", str(folder))
        return give_all_traffic(state, model, route, now=datetime(2013, 4, 1, tzinfo=UTC), reason="test")

    return run
