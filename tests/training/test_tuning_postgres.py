"""The trials in MLflow's own database, which stays MLflow's."""

import subprocess
import sys

import pytest
import sqlalchemy
from training.tuned import STUDY, tune

from mlops_assets.training.tracking import Tracking
from mlops_assets.training.tuning_study import StudyInUse, held_study, storage_of

TREE = {"estimator": "sklearn.DecisionTreeClassifier"}
REVISIONS = "select version_num from public.alembic_version"


@pytest.mark.service
@pytest.mark.slow
def test_mlflow_and_the_trials_share_a_database(postgres, tmp_path):
    tracking = Tracking(postgres, "tuned", str(tmp_path))
    storage = storage_of(postgres, folder=tmp_path)
    tracking.client()
    engine = sqlalchemy.create_engine(postgres, poolclass=sqlalchemy.NullPool)
    with engine.connect() as con:
        before = con.exec_driver_sql(REVISIONS).scalar_one()

    with held_study(storage, STUDY, direction="maximize") as study:
        study.ask()
        with pytest.raises(StudyInUse), held_study(storage, STUDY, direction="maximize"):
            pass
    outcome = tune(storage, tracking, {"space": {"max_depth": {"low": 1, "high": 9}}, "trials": 3}, training=TREE)

    with engine.connect() as con:
        assert con.exec_driver_sql(REVISIONS).scalar_one() == before
        states = con.exec_driver_sql("select state from optuna.trials order by number").scalars().all()
        assert con.exec_driver_sql("select to_regclass('public.trials')").scalar_one() is None
    assert [trial["state"] for trial in outcome.trials] == ["complete"] * 3
    assert states == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    code = f"from mlflow import MlflowClient; print(MlflowClient({postgres!r}).get_run({outcome.run.run_id!r}).info.status)"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fresh.stdout == "FINISHED\n"


def test_other_tracking_servers_leave_the_trials_in_a_file_of_the_model(tmp_path):
    assert storage_of("http://127.0.0.1:5000", folder=tmp_path / "delay") == f"sqlite:///{tmp_path}/delay.db"
    assert storage_of("sqlite:///mlflow.db", folder=tmp_path / "delay") == f"sqlite:///{tmp_path}/delay.db"
