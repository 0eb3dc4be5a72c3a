"""Which rung a version scores by: the cheapest that gives its golden scores again, and no other."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
import xgboost
from msgspec.structs import replace
from predictor.test_rows import SIGNATURE as FEATURES
from predictor.test_rows import TABLE, fitted, trees
from serving.conftest import save_model
from sklearn.preprocessing import OneHotEncoder, PowerTransformer

from mlops_assets.predictor import rows as rows_module
from mlops_assets.predictor.artifact import load, save
from mlops_assets.predictor.forms import BOOSTER, ONNX, TABLES
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.manifest import MANIFEST, decode, digest, encode
from mlops_assets.predictor.tables import Categories
from mlops_assets.predictor.tables import decode as decode_tables
from mlops_assets.predictor.tables import encode as encode_tables
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic
from mlops_assets.serving.models import LoadedModels
from mlops_assets.serving.scoring import ArmLoader

ROWS = TABLE.slice(0, 150).to_pylist()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of trees with all its forms, and its pipeline."""
    pipeline = fitted(None, OneHotEncoder(handle_unknown="ignore", sparse_output=False), trees())
    folder = tmp_path_factory.mktemp("model")
    save(folder, pipeline, signature=FEATURES, rows=TABLE, facts={})
    return folder, pipeline


@pytest.fixture
def copy(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "m")
    return tmp_path / "m"


def arm_of(folder):
    return ArmLoader()(Route(1, "run1", str(folder)))


def rewrite(folder, **files: bytes | None):
    """Replace or remove files, and say so in the manifest."""
    manifest = decode((folder / MANIFEST).read_bytes())
    for name, data in files.items():
        if data is None:
            del manifest.files[name]
        else:
            (folder / name).write_bytes(data)
            manifest.files[name] = digest(data)
    (folder / MANIFEST).write_bytes(encode(manifest))


def expected(pipeline):
    return pipeline.predict_proba(feature_frame(TABLE.slice(0, 150), FEATURES))[:, 1]


def test_trees_score_few_rows_by_onnx_and_many_by_the_booster(saved):
    arm = arm_of(saved[0])

    few, many = arm.score(ROWS[:3], until=0), arm.score(ROWS, until=0)

    assert (arm.rung, arm.ladder.bulk_rung, dict(arm.refused)) == ("flat+onnx", "xgboost", {})
    np.testing.assert_allclose(many.predictions, expected(saved[1]), atol=1e-6)
    np.testing.assert_allclose(few.predictions, many.predictions[:3], atol=1e-6)


@pytest.mark.parametrize(
    ("without", "rung", "bulk"),
    [
        ((ONNX,), "xgboost", "xgboost"),
        ((BOOSTER,), "flat+onnx", "flat+onnx"),
        ((ONNX, BOOSTER, TABLES), "pipeline", "pipeline"),
    ],
    ids=["no onnx", "no booster", "no forms"],
)
def test_without_a_form_the_next_rung_scores(saved, copy, without, rung, bulk):
    rewrite(copy, **dict.fromkeys(without))

    arm = arm_of(copy)

    assert (arm.rung, arm.ladder.bulk_rung) == (rung, bulk)
    for count in (3, 150):
        found = arm.score(ROWS[:count], until=0).predictions
        np.testing.assert_allclose(found, expected(saved[1])[:count], atol=1e-6)


def test_a_rung_whose_golden_scores_differ_does_not_serve_and_says_so(saved, copy):
    other = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(np.random.default_rng(0).random((50, 6)), [0, 1] * 25)
    rewrite(copy, **{BOOSTER: bytes(other.get_booster().save_raw("ubj"))})

    arm = arm_of(copy)

    assert (arm.rung, arm.ladder.bulk_rung) == ("flat+onnx", "flat+onnx")
    assert "golden rows differ by" in arm.refused["xgboost"]
    np.testing.assert_allclose(arm.score(ROWS, until=0).predictions, expected(saved[1]), atol=1e-6)


@pytest.mark.parametrize("fault", ["category", "median"])
def test_wrong_tables_leave_the_pipeline(saved, copy, fault):
    tables = decode_tables((copy / TABLES).read_bytes())
    one = next(entry for entry in tables.features if isinstance(entry, Categories) == (fault == "category"))
    if isinstance(one, Categories):
        one.columns.update(red=one.columns["blue"], blue=one.columns["red"])
        data = encode_tables(tables)
    else:
        wrong = replace(one, fill=one.fill + 0.5)
        data = encode_tables(replace(tables, features=(wrong, *tables.features[1:])))
    rewrite(copy, **{TABLES: data})

    arm = arm_of(copy)

    assert (arm.rung, arm.ladder.bulk_rung) == ("pipeline", "pipeline")
    assert set(arm.refused) == {"flat+onnx", "xgboost"}
    np.testing.assert_allclose(arm.score(ROWS[:3], until=0).predictions, expected(saved[1])[:3], atol=1e-12)


def test_rows_that_are_not_clipped_are_found_at_load(saved, monkeypatch):
    monkeypatch.setattr(rows_module, "LARGEST", 1.0)

    arm = arm_of(saved[0])

    assert (arm.rung, arm.ladder.bulk_rung) == ("xgboost", "xgboost"), "few rows take the way of many"
    assert "golden rows differ by" in arm.refused["rows"]


def test_rows_that_are_wrong_one_by_one_alone_are_found_at_load(saved, monkeypatch):
    fill = rows_module.RowScorer.fill
    monkeypatch.setattr(rows_module.RowScorer, "fill", lambda self, rows: fill(self, rows) + (len(rows[0]) == 1))

    arm = arm_of(saved[0])

    assert arm.rung == "xgboost"
    assert "golden rows differ by" in arm.refused["rows"]


def test_a_pipeline_of_anybodys_making_scores_by_itself(tmp_path):
    pipeline = fitted(PowerTransformer(), OneHotEncoder(handle_unknown="ignore", sparse_output=False), trees())
    save(tmp_path / "m", pipeline, signature=FEATURES, rows=TABLE, facts={})

    arm = arm_of(tmp_path / "m")

    assert (arm.rung, arm.ladder.bulk_rung) == ("pipeline", "pipeline")
    assert TABLES in arm.refused
    np.testing.assert_allclose(arm.score(ROWS, until=0).predictions, expected(pipeline))


def test_the_report_names_the_rungs(saved, copy, tmp_path, state):
    rewrite(copy, **{BOOSTER: b"{}"})
    now = datetime(2013, 4, 1, tzinfo=UTC)
    give_all_traffic(state, "churn", Route(7, "run7", str(copy)), now=now, reason="test")
    models = LoadedModels(state)
    models.follow()

    report = models.report()["churn"]

    assert (report.version, report.rung, report.load_error) == (7, "flat+onnx", None)
    assert report.refused_rungs["xgboost of version 7"].startswith("does not open: XGBoostError")
    assert load(str(copy)).sha256


def test_a_regression_of_no_rows_and_of_one(tmp_path):
    arm = arm_of(save_model(tmp_path / "m", intercept=3))

    assert arm.score([], until=0).predictions == []
    assert arm.score([{"x": 1}], until=0).predictions == [4.0]
