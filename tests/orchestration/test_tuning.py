"""A model whose file asks for a search: its trials in MLflow, its choice in the saved model, once for a training set."""

import json
from pathlib import Path

import pytest
from shop.deployment import Shop, value

from mlops_assets.settings import load_settings
from mlops_assets.training.tracking import Tracking

pytestmark = pytest.mark.slow

TUNING = "tuning: {space: {max_depth: {low: 1, high: 4}, learning_rate: [0.1, 0.3]}, trials: 3}"


def nested_in(candidate: str, shop: Shop) -> list:
    """Return the runs below that of a candidate."""
    client = Tracking(load_settings().mlflow_uri, "dev", str(shop.home)).client()
    experiment = client.get_run(candidate).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{candidate}'")


def test_the_best_trial_becomes_the_candidate_and_the_next_run_need_not_search_again(shop: Shop) -> None:
    file = shop.defs / "returns" / "defs.yaml"
    text = file.read_text()
    assert "max_depth: 3}}" in text
    file.write_text(text.replace("max_depth: 3}}", f"max_depth: 3}}, {TUNING}}}"))
    shop.reload()
    shop.prepare()

    first = shop.materialize("training_set", "candidate")
    second = shop.materialize("candidate")

    runs = [str(value(result, "candidate", "mlops/candidate")) for result in (first, second)]
    nested = [nested_in(run, shop) for run in runs]
    assert sorted(run.info.run_name for run in nested[0]) == ["trial 000", "trial 001", "trial 002"]
    assert {run.info.status for run in nested[0]} == {"FINISHED"}
    assert nested[1] == []
    best = max(nested[0], key=lambda run: run.data.metrics["validation_roc_auc"]).data.params
    for result in (first, second):
        manifest = json.loads(Path(str(value(result, "candidate", "artifact")), "manifest.json").read_text())
        params = manifest["facts"]["recipe"]["params"]
        assert {name: str(params[name]) for name in ("max_depth", "learning_rate")} == best
        assert str(value(result, "candidate", "trials")).count("| complete |") == 3
        assert "data:image/png" in str(value(result, "candidate", "tuning_history"))
    assert list((shop.home / "tuning" / "dev").glob("*.db")) == [shop.home / "tuning" / "dev" / "returns.db"]
