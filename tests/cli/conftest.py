"""A deployment of its own for commands about versions."""

import shutil

import pytest
from cli.version_world import World

from mlops_assets.training.mlflow_client import open_client


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory):
    """Creating MLflow's tables takes a second; each test gets a copy."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_client(f"sqlite:///{path}")
    return path


@pytest.fixture
def world(tmp_path, monkeypatch, empty_mlflow) -> World:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    for name, value in {"MLOPS_HOME": tmp_path, "MLFLOW_TRACKING_URI": "", "DAGSTER_HOME": tmp_path / "none"}.items():
        monkeypatch.setenv(name, str(value))
    return World(tmp_path)
