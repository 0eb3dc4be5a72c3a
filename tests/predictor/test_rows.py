"""A few rows score as the pipeline does, value by value, or the row form is not used."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, RobustScaler, StandardScaler, TargetEncoder

from mlops_assets.predictor import forms as forms_module
from mlops_assets.predictor import rows as rows_module
from mlops_assets.predictor.artifact import load, save
from mlops_assets.predictor.forms import BOOSTER, ONNX, forms_of, row_scorers, scorers
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.manifest import decode
from mlops_assets.predictor.signature import Signature
from mlops_assets.predictor.tables import Categories, Numbers, Tables

SIGNATURE = Signature({"size": "numeric", "weight": "numeric", "colour": "categorical"}, "binary")
RNG = np.random.default_rng(5)
TABLE = pa.table(
    {
        "size": [None if i % 7 == 0 else float(v) for i, v in enumerate(RNG.normal(size=400))],
        "weight": RNG.normal(1e3, 300, 400),
        "colour": [None if i % 9 == 0 else str(c) for i, c in enumerate(RNG.choice(["red", "green", "blue"], 400))],
    }
)
LABELS = (np.nan_to_num(TABLE["size"].to_numpy()) + RNG.normal(size=400) > 0).astype(float)
ODD = [
    [None, 2.5, 1e300, -1e300, math.inf, -math.inf, math.nan, True, 3, 0.1],
    [1.5, None, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1e39, 1e-320],
    ["red", "blue", None, "", "never seen", "__missing__", "green", "red", None, "red"],
]


def fitted(scale, encoder, estimator, *, calibration=None):
    numeric = make_pipeline(SimpleImputer(strategy="median"), scale) if scale else SimpleImputer(strategy="median")
    parts = [("numeric", numeric, ["size", "weight"]), ("categorical", encoder, ["colour"])]
    prepare = ColumnTransformer(parts, sparse_threshold=0)
    matrix = prepare.fit_transform(feature_frame(TABLE, SIGNATURE), LABELS)
    estimator.fit(matrix, LABELS)
    if calibration:
        estimator = CalibratedClassifierCV(FrozenEstimator(estimator), method=calibration).fit(matrix, LABELS)
    return Pipeline([("preprocessing", prepare), ("estimator", estimator)])


def trees():
    return xgboost.XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1)


CASES = [
    (None, OneHotEncoder(handle_unknown="ignore", sparse_output=False), trees(), None),
    (StandardScaler(), TargetEncoder(cv=3), trees(), "sigmoid"),
    (RobustScaler(), OneHotEncoder(handle_unknown="ignore", sparse_output=False), trees(), "isotonic"),
    (MinMaxScaler(), TargetEncoder(cv=3), trees(), None),
]


@pytest.mark.parametrize(("scale", "encoder", "estimator", "calibration"), CASES)
def test_odd_values_score_as_in_the_pipeline(scale, encoder, estimator, calibration):
    pipeline = fitted(scale, encoder, estimator, calibration=calibration)
    files, lacking = forms_of(pipeline, TABLE, SIGNATURE)
    scorer = row_scorers(scorers(files, SIGNATURE))["rows"]
    numbers = [[math.nan if value is None else float(value) for value in column] for column in ODD[:2]]
    sent = {"size": np.array(numbers[0]), "weight": np.array(numbers[1]), "colour": np.array(ODD[2], dtype=object)}

    expected = pipeline.predict_proba(feature_frame(sent, SIGNATURE))[:, 1]

    assert "rows" not in lacking
    np.testing.assert_allclose(scorer.score(ODD), expected, atol=1e-6)
    one_by_one = [scorer.score([[column[place]] for column in ODD])[0] for place in range(len(ODD[0]))]
    np.testing.assert_allclose(one_by_one, expected, atol=1e-6)


def test_what_fills_a_row_is_what_the_tables_say():
    tables = Tables(
        (
            Numbers("weight", fill=2.0, shift=1.0, divisor=4.0),
            Categories("colour", {"red": (1.0, 0.0), "__missing__": (0.0, 1.0)}, (0.0, 0.0)),
            Numbers("size", factor=2.0, offset=-1.0),
        )
    )
    scorer = rows_module.RowScorer(tables, lambda matrix: matrix, SIGNATURE)

    filled = scorer.fill([[0.5, None, 3, 1e40], [9.0, None, math.inf, -5.0], ["red", None, "blue", "red"]])

    expected = [[2, 1, 0, 0], [0.25, 0, 1, math.nan], [0.25, 0, 0, 5], [-1.5, 1, 0, np.inf]]  # 6e38 is beyond float32
    np.testing.assert_array_equal(filled, np.array(expected, dtype=np.float32))
    assert filled.dtype == np.float32


def test_rows_that_differ_are_not_used_and_the_manifest_says_why(tmp_path, monkeypatch):
    pipeline = fitted(None, OneHotEncoder(handle_unknown="ignore", sparse_output=False), trees())
    monkeypatch.setattr(rows_module, "LARGEST", 1.0)
    save(tmp_path / "m", pipeline, signature=SIGNATURE, rows=TABLE, facts={})

    loaded = load(str(tmp_path / "m"))

    assert "rows on" in loaded.manifest.lacking["rows"]
    assert set(loaded.forms()) == {ONNX, BOOSTER}


def test_rows_fall_back_on_the_booster_where_onnx_differs(monkeypatch):
    pipeline = fitted(None, OneHotEncoder(handle_unknown="ignore", sparse_output=False), trees())
    right = forms_module.onnx_estimate
    wrong = lambda data, task: lambda matrix: right(data, task)(matrix) * 0.9  # noqa: E731
    monkeypatch.setitem(forms_module.MAKERS, ONNX, wrong)

    files, lacking = forms_of(pipeline, TABLE, SIGNATURE)

    assert set(lacking) == {ONNX}
    expected = pipeline.predict_proba(feature_frame(TABLE, SIGNATURE))[:, 1]
    np.testing.assert_allclose(row_scorers(scorers(files, SIGNATURE))["rows"].predict(TABLE), expected, atol=1e-6)


def test_a_linear_model_scores_by_row_through_onnx(monkeypatch):
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    pipeline = fitted(StandardScaler(), encoder, LogisticRegression())
    files, lacking = forms_of(pipeline, TABLE, SIGNATURE)

    assert BOOSTER not in files
    expected = pipeline.predict_proba(feature_frame(TABLE, SIGNATURE))[:, 1]
    np.testing.assert_allclose(row_scorers(scorers(files, SIGNATURE))["rows"].predict(TABLE), expected, atol=1e-6)
    assert "rows" not in lacking


def test_a_manifest_from_before_kinds_of_inputs_and_lookup_still_loads(tmp_path):
    pipeline = fitted(None, OneHotEncoder(handle_unknown="ignore", sparse_output=False), trees())
    save(tmp_path / "m", pipeline, signature=SIGNATURE, rows=TABLE, facts={})
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_bytes())
    del manifest["input_kinds"], manifest["lookup"]

    read = decode(json.dumps(manifest).encode())

    assert (read.input_kinds, read.lookup) == ({}, {})
