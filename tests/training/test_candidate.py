"""What a candidate leaves in its run."""

import json
import zipfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from mlflow.models import ModelSignature

from mlops_assets.predictor.artifact import load
from mlops_assets.training.candidate import Extras, log_candidate
from mlops_assets.training.fit import train
from mlops_assets.training.spec import SplitSpec, TrainingSpec

FEATURES = {"size": "numeric", "flow": "numeric", "colour": "categorical"}
FACTS = {"training_set": "ab" * 32, "commit": "c0ffee", "commit_is_dirty": "false"}


@pytest.fixture
def logged(tracking, table):
    with tracking.run("delay", tags={}) as run:
        with run.timed("fit"):
            fitted = train(
                table,
                task="binary",
                features=FEATURES,
                request_inputs=["colour"],
                split_spec=SplitSpec(),
                spec=TrainingSpec(params={"n_estimators": 30}),
                label_delay=timedelta(days=2),
            )
        logged = log_candidate(run, fitted, table, extras=Extras(FACTS))
    return fitted, run, logged


def test_the_run_tells_everything_about_the_training(logged, table):
    fitted, run, made = logged
    data, files = run.client.get_run(run.run_id).data, Path(run.root)
    assert (data.params["estimator"], data.params["max_depth"], data.params["threads"]) == ("xgboost", "5", "1")
    assert data.params["n_estimators"] == str(fitted.recipe.params["n_estimators"])
    assert {"validation_roc_auc", "train_rows", "importance/size", "fit_wall_s", "fit_cpu_s"} <= set(data.metrics)
    assert not [name for name in data.metrics if name.startswith("test_") and name != "test_rows"]
    curve = [point.value for point in run.client.get_metric_history(run.run_id, "validation_logloss")]
    assert curve == pytest.approx(list(fitted.curves["validation_logloss"]))
    assert {data.tags[f"mlops/{name}"] for name in FACTS} == set(FACTS.values())
    pictures = {
        "validation_confusion",
        "validation_roc",
        "validation_pr",
        "validation_calibration",
        "curves",
        "importance",
    }
    assert {path.stem for path in files.glob("plots/*.png")} == set(made.pictures) == pictures
    assert load(made.artifact_uri).manifest.facts["commit"] == "c0ffee"


def test_signature_and_example_are_what_mlflow_reads(logged):
    _, run, made = logged
    files = Path(run.root)
    signature = ModelSignature.from_dict(json.loads((files / "signature.json").read_text()))
    assert signature.inputs.input_names() == list(FEATURES)
    assert [str(one) for one in signature.inputs.input_types()] == [
        "DataType.double",
        "DataType.double",
        "DataType.string",
    ]
    assert signature.outputs.input_names() == ["probability"]
    example = json.loads((files / "input_example.json").read_text())
    columns = dict(zip(example["columns"], zip(*example["data"], strict=True), strict=True))
    assert len(load(made.artifact_uri).predict({name: list(values) for name, values in columns.items()})) == 5


def test_the_environment_names_what_is_installed(logged):
    import sklearn

    _, run, _ = logged
    environment = json.loads((Path(run.root) / "environment.json").read_text())
    assert f"scikit-learn=={sklearn.__version__}" in environment["packages"]


def test_no_file_of_a_run_is_a_pickle(logged):
    _, run, _ = logged
    for path in (path for path in Path(run.root).rglob("*") if path.is_file()):
        assert path.suffix not in (".pkl", ".pickle", ".joblib")
        _refuse_pickle(path.read_bytes())


def _refuse_pickle(data):
    assert not data.startswith(b"\x80"), "a pickle of protocol 2 or later"
    if zipfile.is_zipfile(BytesIO(data)):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            for name in archive.namelist():
                _refuse_pickle(archive.read(name))
    if data.startswith(b"\x93NUMPY"):
        np.load(BytesIO(data), allow_pickle=False)
