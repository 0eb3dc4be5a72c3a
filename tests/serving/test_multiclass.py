"""A model of several classes answers with the most probable one and with all probabilities by name."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlops_assets.lake.state import LocalState
from mlops_assets.predictor.artifact import save
from mlops_assets.predictor.golden import golden_rows
from mlops_assets.predictor.signature import Signature
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic
from mlops_assets.serving.app import create_app

SIGNATURE = Signature({"x": "numeric"}, "multiclass", classes=("app", "store", "web"))


@pytest.fixture
def client(tmp_path: Path, state: LocalState):
    """Serve the softmax of `(x, 0, -x)`, a missing x counting as 0."""
    model = LogisticRegression().fit(np.array([[2.0], [0.0], [-2.0]]), [0.0, 1.0, 2.0])
    model.coef_, model.intercept_ = np.array([[1.0], [0.0], [-1.0]]), np.zeros(3)
    pipeline = make_pipeline(FunctionTransformer(np.nan_to_num).set_output(transform="default"), model)
    rows = golden_rows({"x": np.linspace(-3, 3, 40)}, SIGNATURE)
    save(tmp_path / "model", pipeline, signature=SIGNATURE, rows=rows, facts={})
    route = Route(1, "run1", str(tmp_path / "model"))
    give_all_traffic(state, "channel", route, now=datetime(2013, 4, 1, tzinfo=UTC), reason="test")
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test")) as client:
        yield client


def test_an_answer_names_the_class_and_the_probability_of_each(client):
    answered = client.post("/invocations", json={"instances": [{"x": 1}, {"x": -3}, {}]}).json()

    logits = np.array([[1, 0, -1], [-3, 0, 3], [0, 0, 0]])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert [one["class"] for one in answered["predictions"]] == ["app", "web", "app"]  # of equals the first
    for one, row in zip(answered["predictions"], expected, strict=True):
        assert one["probabilities"] == pytest.approx(dict(zip(("app", "store", "web"), row, strict=True)))


def test_no_rows_give_no_predictions(client):
    assert client.post("/invocations", json={"instances": []}).json()["predictions"] == []


def test_the_listing_tells_the_task_and_the_classes(client):
    listed = client.get("/models").json()["channel"]
    assert (listed["task"], listed["classes"]) == ("multiclass", ["app", "store", "web"])


def test_the_interface_shows_an_answer_of_the_models_task(client):
    document = client.get("/openapi.json").json()
    content = document["paths"]["/models/channel/invocations"]["post"]["responses"]["200"]["content"][
        "application/json"
    ]
    (example,) = content["examples"].values()
    (shown,) = example["value"]["predictions"]
    real = client.post("/invocations", json={"instances": [{}]}).json()

    assert shown.keys() == real["predictions"][0].keys()
    assert example["value"].keys() == real.keys()
    assert real.keys() <= document["components"]["schemas"]["Reply"]["properties"].keys()
