"""A window as a batch: parts, forms, refusals, holding back, and death at any moment."""

import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from predictions.batch_writer import WINDOW
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier

from mlops_assets.lake.state import LocalState
from mlops_assets.lake.tables import exists, newest_version, read, replace_window
from mlops_assets.predictions import batch as batch_module
from mlops_assets.predictions.batch import Batch, PredictionsRefused, Scored, score_batch, write_report
from mlops_assets.predictions.held import (
    HeldOutput,
    held_outputs,
    held_uri,
    hold_output,
    is_released,
    let_go,
    release_output,
    window_rows,
)
from mlops_assets.predictions.score import ReservedColumn, predictions_uri, score_window
from mlops_assets.predictions.spec import PredictionContractSpec
from mlops_assets.predictor.artifact import Predictor, load, save
from mlops_assets.predictor.golden import golden_rows
from mlops_assets.predictor.signature import Signature
from mlops_assets.stats.grid import build_grid
from mlops_assets.stats.profile import profile

WRITER = Path(__file__).with_name("batch_writer.py")
SIGNATURE = Signature({"x": "numeric"}, "binary")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores `1 / (1 + exp(-(2 x - 1)))`, a missing x counting as 0."""
    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])
    model.coef_, model.intercept_ = np.array([[2.0]]), np.array([-1.0])
    pipeline = make_pipeline(FunctionTransformer(np.nan_to_num).set_output(transform="default"), model)
    folder = tmp_path_factory.mktemp("model")
    save(folder, pipeline, signature=SIGNATURE, rows=golden_rows({"x": np.linspace(-3, 3, 40)}, SIGNATURE), facts={})
    return folder


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return load(str(folder))


@pytest.fixture(scope="module")
def boosted(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    rows = pd.DataFrame({"x": np.linspace(-3, 3, 400)})
    prepare = ColumnTransformer([("numbers", SimpleImputer(), ["x"])])
    pipeline = make_pipeline(prepare, XGBClassifier(n_estimators=5, max_depth=2)).fit(rows, rows["x"] > 0.5)
    folder = tmp_path_factory.mktemp("boosted")
    save(folder, pipeline, signature=SIGNATURE, rows=pa.table(rows), facts={})
    return load(str(folder))


def vectors(*values: float | None) -> pa.Table:
    return pa.table({"order_id": pa.array(range(len(values)), pa.int64()), "x": pa.array(values, pa.float64())})


def scored(
    lake: Path, predictor: Predictor, *parts: pa.Table, version: int = 7, grid: Any = None, **spec: Any
) -> Scored:
    batch = Batch(str(lake), "churn", WINDOW, version)
    return score_batch(batch, parts, predictor, contract=PredictionContractSpec(**spec), looked_up=["x"], grid=grid)


def published(lake: Path) -> pa.Table:
    return read(predictions_uri(str(lake), "churn"), window=WINDOW.key)


def test_a_window_in_parts_is_the_window_scored_at_once(tmp_path, predictor, monkeypatch):
    monkeypatch.setattr(batch_module, "PART_ROWS", 3)
    parts = [vectors(*np.linspace(-2, 2, 8)), vectors(None, 1.0)]
    found = scored(tmp_path, predictor, *parts)
    found.staged.publish()
    whole = score_window(pa.concat_tables(parts), predictor, model_version=7)
    assert found.rows == 10
    assert published(tmp_path).drop("score").equals(whole.drop("score").combine_chunks())
    assert published(tmp_path)["score"].to_pylist() == pytest.approx(whole["score"].to_pylist(), rel=1e-12)
    assert found.score_mean == pytest.approx(np.mean(whole["score"].to_numpy()), rel=1e-12)


def test_a_window_without_rows_is_published_with_its_columns(tmp_path, predictor):
    scored(tmp_path, predictor, vectors(1.0)).staged.publish()
    found = scored(tmp_path, predictor, vectors())
    found.staged.publish()
    assert published(tmp_path).num_rows == found.rows == 0
    assert [one.rule for one in found.findings if not one.passed] == ["has_rows"]
    assert found.broken == []


def test_many_rows_are_scored_by_the_booster_behind_the_tables_with_the_scores_of_the_pipeline(tmp_path, boosted):
    table = vectors(*np.linspace(-3, 3, 1000), None)
    found = scored(tmp_path, boosted, table)
    found.staged.publish()
    assert found.form == "booster.ubj"
    frame = pd.DataFrame({"x": table["x"].to_numpy()})
    expected = boosted.pipeline.predict_proba(frame)[:, 1]  # scikit-learn and XGBoost themselves
    assert np.abs(published(tmp_path)["score"].to_numpy() - expected).max() < 1e-6


def test_a_form_that_no_longer_gives_the_golden_scores_is_not_used(tmp_path, boosted, predictor):
    tables = json.loads(boosted.form_files["tables.json"])
    tables["features"][0]["fill"] = 3.0  # as by another release of a library
    forms = {**boosted.form_files, "tables.json": msgspec.json.encode(tables)}
    found = scored(tmp_path, replace(boosted, form_files=forms), vectors(1.0, None))
    assert found.form == "pipeline"
    assert scored(tmp_path, predictor, vectors(1.0)).form == "pipeline", "there is no booster"


def test_refused_scores_leave_the_former_window_and_say_why(tmp_path, predictor):
    scored(tmp_path, predictor, vectors(0.5), version=6).staged.publish()
    before = published(tmp_path)
    found = scored(tmp_path, predictor, vectors(0.5, 3.0), mean_max=0.6)
    batch = Batch(str(tmp_path), "churn", WINDOW, 7)
    report = write_report(batch, found, found.findings, outcome="refused")
    found.staged.discard()

    mean = (1 / (1 + math.exp(0.0)) + 1 / (1 + math.exp(-5.0))) / 2
    assert [one.rule for one in found.broken] == ["score_mean"]
    assert f"mean {mean:.6g}; required at most 0.6" in str(PredictionsRefused(batch, found.broken, report))
    kept = json.loads(Path(report).read_text())
    assert (kept["outcome"], kept["rows"], kept["version"]) == ("refused", 2, 7)
    assert published(tmp_path).equals(before)


def test_a_column_that_scoring_would_add_leaves_no_file_behind(tmp_path, predictor):
    bad = vectors(1.0).append_column("score", pa.array([1.0]))
    with pytest.raises(ReservedColumn):
        scored(tmp_path, predictor, bad)
    with pytest.raises(ValueError, match="names"):
        scored(tmp_path, predictor, vectors(1.0), vectors(1.0).rename_columns(["order", "x"]))
    assert list(tmp_path.rglob("*.parquet")) == []


def test_the_profile_of_parts_is_that_of_the_window(tmp_path, predictor, monkeypatch):
    monkeypatch.setattr(batch_module, "PART_ROWS", 4)
    table = vectors(*np.linspace(-3, 3, 30).round(2), None)
    whole = score_window(table, predictor, model_version=7)
    grid = build_grid(whole, {"x": "numeric", "score": "numeric"})
    found, expected = scored(tmp_path, predictor, table, grid=grid).profile, profile(whole, grid)
    assert found is not None
    assert (found.rows, found.numeric["x"].counts) == (31, expected.numeric["x"].counts)
    assert found.numeric["x"].missing == 1
    assert found.numeric["score"].counts == expected.numeric["score"].counts


@pytest.fixture
def state(tmp_path: Path) -> LocalState:
    return LocalState(str(tmp_path))


def hold(state: LocalState, lake: Path, predictor: Predictor, *values: float) -> None:
    found = scored(lake, predictor, vectors(*values))
    held = HeldOutput(("amount: a change of unit?",), found.rows, 7, "profile-1")
    hold_output(state, found.staged, held, lake=str(lake), model="churn", window=WINDOW.key)


def test_what_is_held_back_is_not_published_but_seen_by_monitoring(tmp_path, state, predictor):
    place = {"lake": str(tmp_path), "model": "churn", "window": WINDOW.key}
    scored(tmp_path, predictor, vectors(0.5)).staged.publish()
    assert window_rows(state, **place)["x"].to_pylist() == [0.5]
    hold(state, tmp_path, predictor, 100.0, 200.0)
    assert published(tmp_path)["x"].to_pylist() == [0.5]
    assert window_rows(state, **place)["x"].to_pylist() == [100.0, 200.0]
    assert held_outputs(state, "churn")[WINDOW.key].reasons == ("amount: a change of unit?",)


def test_a_released_window_is_published_once_and_the_same_rows_pass_from_then_on(tmp_path, state, predictor):
    place = {"lake": str(tmp_path), "model": "churn", "window": WINDOW.key}
    assert release_output(state, **place) is None
    hold(state, tmp_path, predictor, 100.0, 200.0)
    assert not exists(predictions_uri(str(tmp_path), "churn"))
    assert release_output(state, **place) == 2
    assert published(tmp_path).select(["order_id", "x"]).equals(vectors(100.0, 200.0))
    assert read(held_uri(str(tmp_path), "churn")).num_rows == 0
    assert held_outputs(state, "churn") == {}
    assert release_output(state, **place) is None
    assert is_released(state, "churn", WINDOW.key, "profile-1")
    assert not is_released(state, "churn", WINDOW.key, "profile-2")
    assert not is_released(state, "churn", "another", "profile-1")


def test_scoring_again_and_publishing_ends_a_hold(tmp_path, state, predictor):
    place = {"lake": str(tmp_path), "model": "churn", "window": WINDOW.key}
    hold(state, tmp_path, predictor, 100.0)
    scored(tmp_path, predictor, vectors(1.0)).staged.publish()
    let_go(state, **place)
    assert window_rows(state, **place)["x"].to_pylist() == [1.0]
    assert read(held_uri(str(tmp_path), "churn")).num_rows == 0
    let_go(state, **place)


def test_publishing_the_same_window_twice_leaves_one_version_of_its_rows(tmp_path, predictor):
    for version in (7, 7, 8):
        scored(tmp_path, predictor, vectors(1.0, 2.0), version=version).staged.publish()
    assert published(tmp_path)["model_version"].to_pylist() == [8, 8]
    assert read(predictions_uri(str(tmp_path), "churn")).num_rows == 2


@pytest.mark.slow
def test_a_kill_between_write_and_commit_publishes_nothing(tmp_path, folder):
    """Killed once the file has rows; each time the table is what it was, or, if the commit was faster, all new."""
    lake, rows, unpublished = str(tmp_path), 400_000, 0
    uri = predictions_uri(lake, "churn")
    before = pa.table({"order_id": [-1], "x": [0.0], "score": [0.5], "model_version": [1]})
    replace_window(uri, before, window=WINDOW.key)
    for version in (2, 3, 4):
        before, files = newest_version(uri), set(tmp_path.rglob("*.parquet"))
        with subprocess.Popen([sys.executable, WRITER, folder, lake, str(rows), str(version)]) as process:
            end = time.monotonic() + 120
            while not any(path.stat().st_size for path in set(tmp_path.rglob("*.parquet")) - files):
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.002)
            process.kill()
        assert set(tmp_path.rglob("*.parquet")) - files, "it had begun to write"
        unpublished += newest_version(uri) == before
        assert len(set(read(uri)["model_version"].to_pylist())) == 1
    assert unpublished > 0
    subprocess.run([sys.executable, WRITER, folder, lake, str(rows), "5"], check=True)
    found = read(uri)
    assert found["order_id"].to_pylist() == list(range(rows))
    assert set(found["model_version"].to_pylist()) == {5}
