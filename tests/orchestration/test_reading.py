"""What a person, a program and a notebook read of registered versions: what training left behind, and nothing else."""

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from shop.versions import CLASSES, Versions
from sklearn import metrics as sk
from typer.testing import CliRunner

import mlops_assets
from mlops_assets.cli.app import app
from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.verdict import Approved
from mlops_assets.lake.state import open_state
from mlops_assets.lake.tables import read
from mlops_assets.predictions.score import predictions_uri
from mlops_assets.predictor.artifact import load
from mlops_assets.registry.lifecycle import VersionCard, known_card

pytestmark = pytest.mark.slow


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.exception
    return result.output


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def card_of(versions: Versions, number: int) -> VersionCard:
    return known_card(open_state(versions.lake), "returns", number)


def test_loss(card: VersionCard) -> float:
    """Return scikit-learn's log loss of the judged model on the rows after its test bound."""
    judged = load(card.artifact_uri.replace("/refit", "/candidate"))
    rows = pd.read_parquet(f"{judged.manifest.facts['training_set_uri']}/data.parquet")
    rows = rows[rows["prediction_time"] > datetime.fromisoformat(judged.manifest.facts["test_after"])]
    scores = judged.predict({name: rows[name].to_numpy() for name in judged.features})
    return sk.log_loss(rows["label"], scores / scores.sum(axis=1, keepdims=True), labels=list(CLASSES))


test_loss.__test__ = False


def test_models_are_listed_with_who_answers_and_how_good_it_is(versions: Versions) -> None:
    (listed,) = run_json("models")

    expected = {"model": "returns", "champion": 2, "previous": 1, "challenger": None, "newest": 2, "status": "approved"}
    assert {name: listed[name] for name in expected} == expected
    assert listed["metric"] == f"log_loss {test_loss(card_of(versions, 2)):.4g}"
    assert listed["trained_through"].startswith("2024-03-26")
    assert listed["age_days"] == pytest.approx(14)  # registered after 12 weeks, and the clock shows 14
    assert "returns" in run("models")


def test_a_version_tells_its_facts_and_where_they_are_from(versions: Versions) -> None:
    told, card = run_json("model", "returns@1"), card_of(versions, 1)
    saved = load(card.artifact_uri)

    assert told["roles"] == ["previous"]
    assert told["card"]["sha256"] == saved.sha256
    assert told["saved"]["classes"] == list(CLASSES)
    assert told["training_set"]["rows"] == len(
        pd.read_parquet(f"{card.lineage['mlops/training_set_uri']}/data.parquet")
    )
    assert told["metrics"]["test"]["log_loss"] == pytest.approx(test_loss(card), rel=1e-5)
    assert {one["name"]: one["passed"] for one in told["verdict"]["criteria"]}["baseline"]
    assert told["mlflow_url"].endswith(card.run_id)
    assert told["notes"] == []


def test_a_version_is_shown_with_its_verdict_and_recipe(versions: Versions) -> None:
    shown = run("model", "returns")

    for part in (
        "returns@2",
        "champion",
        "multiclass",
        "cheap, costly, kept",
        "baseline",
        "params.max_depth",
        "channel",
    ):
        assert part in shown
    assert str(card_of(versions, 2).artifact_uri)[:60] in shown


def test_two_versions_differ_in_what_was_changed_between_them(versions: Versions) -> None:
    found = {
        (one["section"], one["name"]): (one["left"], one["right"]) for one in run_json("diff", "returns@1", "returns")
    }

    assert found["features", "channel"] == (None, "categorical")
    assert ("features", "amount") not in found
    assert ("data", "rows") not in found
    rounds = [
        load(card_of(versions, n).artifact_uri).manifest.facts["recipe"]["params"]["n_estimators"] for n in (1, 2)
    ]
    assert found["recipe", "params.n_estimators"] == tuple(rounds)
    losses = [test_loss(card_of(versions, number)) for number in (1, 2)]
    assert found["metrics", "test log_loss"] == pytest.approx(tuple(losses), rel=1e-5)
    assert found["data", "training_set"][0] != found["data", "training_set"][1]


def test_all_facts_are_compared_when_asked_and_a_version_equals_itself(versions: Versions) -> None:
    everything = run_json("diff", "returns@1", "returns@2", "--all")

    assert {"data", "features", "recipe", "metrics", "verdict", "code"} == {one["section"] for one in everything}
    assert ("features", "amount") in {(one["section"], one["name"]) for one in everything}
    assert run_json("diff", "returns@1", "returns@previous") == []
    assert "do not differ" in run("diff", "returns@1", "returns@previous")
    assert "params.n_estimators" in run("diff", "returns@1", "returns@2")


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("retruns", r"model 'retruns': found registered models: returns"),
        ("returns@9", r"returns: version 9: found versions 1, 2"),
        ("returns@challenger", r"returns@challenger: found roles taken: champion \(2\), previous \(1\)"),
        ("returns@two", r"returns@two: .* required the number of a version, or a role"),
    ],
)
def test_what_names_no_version_is_refused_with_those_there_are(versions: Versions, reference: str, told: str) -> None:
    with pytest.raises(MlopsError, match=told):
        mlops_assets.load(reference)
    assert isinstance(CliRunner().invoke(app, ["model", reference]).exception, MlopsError)


def test_what_is_gone_is_noted_and_the_rest_is_told(
    versions: Versions, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/empty.db")

    told = run_json("model", "returns@2")

    assert told["saved"]["classes"] == list(CLASSES)
    assert (told["verdict"], told["training_set"], told["metrics"]) == (None, None, {})
    assert "no such run" in told["notes"][0]
    assert "no such run" in run("model", "returns@2")


def test_a_notebook_gets_the_scores_that_production_gave(versions: Versions) -> None:
    rows = read(predictions_uri(versions.lake, "returns"), window=versions.week).to_pandas()
    rows.index = pd.Index(np.arange(len(rows)) * 7 + 3)  # any index

    found = mlops_assets.load("returns").predict(rows)

    assert list(found.columns) == list(CLASSES)
    assert found.index.equals(rows.index)
    assert found.to_numpy() == pytest.approx(np.array(rows["probabilities"].tolist()), abs=1e-12)
    assert found.idxmax(axis=1).tolist() == rows["predicted_class"].tolist()


def test_a_feature_without_a_column_is_null_and_said_so(versions: Versions) -> None:
    model = mlops_assets.load("returns@2")
    rows = model.training_set().head(50)

    with pytest.warns(UserWarning, match="no column channel: null in every row"):
        found = model.predict(rows.drop(columns="channel"))

    assert found.equals(model.predict(rows.assign(channel=None)))


def test_a_column_of_mixed_values_is_refused_by_name(versions: Versions) -> None:
    model = mlops_assets.load("returns")
    rows = model.training_set().head(2).assign(amount=[1.0, "two"])
    with pytest.raises(MlopsError, match="amount"):
        model.predict(rows)


def test_a_notebook_reads_the_training_set_the_verdict_and_all_versions(versions: Versions) -> None:
    model = mlops_assets.load("returns@1")

    stored = pd.read_parquet(f"{card_of(versions, 1).lineage['mlops/training_set_uri']}/data.parquet")
    pd.testing.assert_frame_equal(model.training_set(), stored)
    verdict = model.verdict()
    assert isinstance(verdict, Approved)
    assert verdict.candidate_id == card_of(versions, 1).candidate_id
    listed = model.versions()
    assert listed["role"].to_dict() == {1: "previous", 2: "champion"}
    assert set(listed["status"]) == {"approved"}
    assert model.version == 1
    assert repr(model).startswith("<returns@1, approved, registered 2024-03-31")


def test_a_notebook_needs_neither_dagster_nor_mlflow_to_score(versions: Versions) -> None:
    code = """
import sys, mlops_assets
assert not {"pandas", "mlops_assets.notebook"} & set(sys.modules)
model = mlops_assets.load("returns")
print(len(model.predict(model.training_set())))
assert not {"dagster", "mlflow"} & set(sys.modules), sorted(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert int(done.stdout) == len(mlops_assets.load("returns").training_set())
