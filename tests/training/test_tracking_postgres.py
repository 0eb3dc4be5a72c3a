"""MLflow on PostgreSQL: several processes start from an empty database, each with several models at once."""

import subprocess
import sys

import pytest
from services import postgres

from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.training.tracking import Tracking

__all__ = ["postgres"]  # the fixture
pytestmark = [pytest.mark.service, pytest.mark.slow]

TRAIN = """
import sys, pathlib, time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.training.candidate import Extras, log_candidate
from mlops_assets.training.fit import train
from mlops_assets.training.spec import SplitSpec, TrainingSpec
from mlops_assets.training.tracking import Tracking
import matplotlib.figure, mlflow, sklearn.metrics, xgboost  # so that the processes start abreast
sys.path.insert(0, sys.argv[3])
from conftest import FEATURES, rows

uri, folder, me = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[4]
table = rows()
(folder / f"ready {me}").touch()
while len(list(folder.glob("ready *"))) < 2:
    time.sleep(0.01)

def candidate(number):
    model, seed = f"model_{number}", 10 * int(me) + number
    with Tracking(uri, "dev", str(folder / "artifacts")).run(model, tags={"seed": str(seed)}) as run:
        spec = TrainingSpec(seed=seed, params={"n_estimators": 20})
        fitted = train(table, task="binary", features=FEATURES, request_inputs=[], split_spec=SplitSpec(), spec=spec,
                       label_delay=timedelta(days=2))
        logged = log_candidate(run, fitted, table, extras=Extras({"training_set": "abc"}))
        run.log_metrics({"of": [seed] * 50})
    MlflowRegistry(uri, "dev").register(
        model, candidate_id=run.run_id, run_id=run.run_id, artifact_uri=logged.artifact_uri, tags={}
    )

with ThreadPoolExecutor(2) as pool:
    list(pool.map(candidate, (0, 1)))
"""


def test_models_that_train_at_once_on_an_empty_database_never_mix(postgres, tmp_path, request):
    here = str(request.path.parent)
    train = [sys.executable, "-X", "faulthandler", "-c", TRAIN]  # the threads in C have crashed here: say where
    processes = [
        subprocess.Popen([*train, postgres, str(tmp_path), here, me], stderr=subprocess.PIPE, text=True)
        for me in ("1", "2")
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors

    client = Tracking(postgres, "dev", str(tmp_path)).client()
    for number in (0, 1):
        experiment = client.get_experiment_by_name(f"dev.model_{number}")
        runs = client.search_runs([experiment.experiment_id])
        assert {int(run.data.tags["seed"]) for run in runs} == {10 + number, 20 + number}
        for run in runs:
            seed = int(run.data.tags["seed"])
            assert (run.info.status, run.data.params["seed"]) == ("FINISHED", str(seed))
            assert {point.value for point in client.get_metric_history(run.info.run_id, "of")} == {seed}
            assert len(client.get_metric_history(run.info.run_id, "of")) == 50
            rounds = len(client.get_metric_history(run.info.run_id, "validation_logloss"))
            assert rounds >= int(run.data.params["n_estimators"])
            assert "validation_roc_auc" in run.data.metrics
        versions = MlflowRegistry(postgres, "dev").versions(f"model_{number}")
        assert {version.candidate_id for version in versions} == {run.info.run_id for run in runs}
