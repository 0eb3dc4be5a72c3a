"""A model of several classes: one column of probabilities a class, in the order that its manifest names."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlops_assets.predictor.artifact import load, save
from mlops_assets.predictor.errors import GoldenMismatch
from mlops_assets.predictor.signature import Signature

SIGNATURE = Signature({"x": "numeric"}, "multiclass", classes=("large", "medium", "small"))
SLOPES, OFFSETS = np.array([2.0, 0.0, -2.0]), np.array([-1.0, 0.5, -1.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a saved softmax of `slope x + offset` per class, a missing x counting as 0."""
    model = LogisticRegression().fit(np.array([[2.0], [0.0], [-2.0]]), [0.0, 1.0, 2.0])
    model.coef_, model.intercept_ = SLOPES[:, None], OFFSETS
    pipeline = make_pipeline(FunctionTransformer(np.nan_to_num).set_output(transform="default"), model)
    folder = tmp_path_factory.mktemp("multiclass")
    save(folder, pipeline, signature=SIGNATURE, rows=pa.table({"x": np.linspace(-3, 3, 40)}), facts={})
    return folder


def test_scores_are_the_probabilities_of_the_classes_in_order(folder):
    predictor = load(str(folder))
    logits = np.array([-1.5, 0.0, 2.0])[:, None] * SLOPES + OFFSETS
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    assert predictor.manifest.signature == SIGNATURE
    assert predictor.predict({"x": np.array([-1.5, np.nan, 2.0])}) == pytest.approx(expected, rel=1e-12)
    assert predictor.predict({"x": np.array([])}).shape == (0, 3)


def test_golden_rows_notice_that_two_classes_were_exchanged(folder, tmp_path):
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    golden, manifest = json.loads(files["golden.json"]), json.loads(files["manifest.json"])
    golden["scores"] = [row[::-1] for row in golden["scores"]]
    files["golden.json"] = json.dumps(golden).encode()
    manifest["files"]["golden.json"] = hashlib.sha256(files["golden.json"]).hexdigest()
    for name, data in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
        (tmp_path / name).write_bytes(data)

    with pytest.raises(GoldenMismatch):
        load(str(tmp_path))


def test_a_manifest_from_before_there_were_classes_still_loads(saved):
    manifest = json.loads((saved / "manifest.json").read_text())
    assert manifest.pop("classes") == []
    (saved / "manifest.json").write_text(json.dumps(manifest))

    assert load(str(saved)).manifest.signature.classes == ()
