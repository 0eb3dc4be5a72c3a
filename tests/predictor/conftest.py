"""A small fitted pipeline and its saved form."""

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from mlops_assets.predictor.artifact import save
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.signature import Signature

SIGNATURE = Signature({"size": "numeric", "colour": "categorical"}, "binary", ("at",))
REQUEST = b"def request_features(columns):\n    return {'size': columns['at'] * 2.0}\n"


@pytest.fixture(scope="session")
def signature():
    return SIGNATURE


@pytest.fixture(scope="session")
def table():
    rng = np.random.default_rng(0)
    size = [None if i % 11 == 0 else float(v) for i, v in enumerate(rng.normal(size=300))]
    colour = [None if i % 13 == 0 else str(c) for i, c in enumerate(rng.choice(["red", "green", "blue"], 300))]
    return pa.table({"size": size, "colour": colour})


@pytest.fixture(scope="session")
def pipeline(table):
    y = np.array(
        [
            (v or 0) + (c == "red") > 0.3
            for v, c in zip(table["size"].to_pylist(), table["colour"].to_pylist(), strict=True)
        ]
    )
    prepare = ColumnTransformer(
        [
            ("numeric", SimpleImputer(strategy="median"), ["size"]),
            ("categorical", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["colour"]),
        ]
    )
    estimator = xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=2)
    return Pipeline([("prepare", prepare), ("estimator", estimator)]).fit(feature_frame(table, SIGNATURE), y)


@pytest.fixture
def saved(tmp_path, pipeline, table):
    folder = tmp_path / "model"
    save(
        folder,
        pipeline,
        signature=SIGNATURE,
        rows=table,
        facts={"training_set": "abc"},
        request_source=REQUEST,
        reference_profile=b'{"windows": {}}',
    )
    return folder
