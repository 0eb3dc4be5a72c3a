"""The places that assets work with, as Dagster shows them and as commands use them."""

from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from mlops_assets.cli import up
from mlops_assets.resources.places import MlflowResource, build_resources
from mlops_assets.settings import Settings, load_settings
from mlops_assets.training.owner import owner_tags


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"MLOPS_HOME": str(tmp_path)}, cwd=tmp_path)


@pytest.fixture
def mlflow(settings: Settings) -> MlflowResource:
    return MlflowResource(tracking_uri=settings.mlflow_uri, env=settings.env, artifact_root=str(settings.home / "runs"))


def _left_open(mlflow: MlflowResource, **tags: str) -> str:
    tracking = mlflow.tracking()
    with tracking.run("delay", tags={}) as some:
        pass
    return tracking.client().create_run(some.experiment_id, tags={**owner_tags(), **tags}).info.run_id


def _status(mlflow: MlflowResource, run_id: str) -> str:
    return mlflow.tracking().client().get_run(run_id).info.status


def test_a_run_whose_dagster_run_has_ended_is_closed(mlflow: MlflowResource) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        open_run, ended = (instance.add_run(dg.DagsterRun("job", status=status)) for status in
                           (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE))  # fmt: skip
        left = {run.run_id: _left_open(mlflow, **{"dagster/run_id": run.run_id}) for run in (open_run, ended)}
        unknown = _left_open(mlflow, **{"dagster/run_id": "of another instance"})
        assert mlflow.close_abandoned(instance, "delay") == (left[ended.run_id],)
    assert _status(mlflow, left[ended.run_id]) == "KILLED"
    assert [_status(mlflow, run_id) for run_id in (left[open_run.run_id], unknown)] == ["RUNNING", "RUNNING"]


def test_mlops_up_closes_what_was_left_open(
    settings: Settings, mlflow: MlflowResource, capsys: pytest.CaptureFixture[str]
) -> None:
    left = _left_open(mlflow, **{"mlops/process_started": "1000.0"})
    up.close_abandoned_runs(settings, Console(width=200))
    assert f"MLflow run {left} was open but its process is gone: closed." in capsys.readouterr().out
    assert _status(mlflow, left) == "KILLED"


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "MLOPS_ONLINE_STORE"])
def test_a_password_is_never_shown(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {
        "MLFLOW_TRACKING_URI": "postgresql+psycopg://me:s3cret@db/mlflow",
        "MLOPS_ONLINE_STORE": "redis://:s3cret@db",
    }
    monkeypatch.setenv(name, secret[name])
    resources = build_resources(load_settings({name: secret[name]}, cwd=tmp_path))
    defaults = {key: str(one.get_resource_definition().config_schema.default_value) for key, one in resources.items()}
    assert name in str(defaults)
    assert "s3cret" not in str(defaults)
