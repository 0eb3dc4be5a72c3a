"""One shop and one tracking store; each test trains on its own copy of the lake if it changes something."""

import shutil
from dataclasses import replace

import pytest
from registry.rebuild.world import Trained, new_shop, train_version

from mlops_assets.training.tracking import Tracking


@pytest.fixture(scope="session")
def tracking(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rebuild")
    return Tracking(f"sqlite:///{folder}/mlflow.db", "dev", f"{folder}/artifacts")


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    return new_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def trained_once(shop, tracking) -> Trained:
    return train_version(shop, tracking)


@pytest.fixture
def trained(trained_once, tmp_path) -> Trained:
    """Return a version whose lake and artefacts a test may damage."""
    shutil.copytree(trained_once.shop.lake, tmp_path / "lake")
    run = trained_once.version.artifact_uri.rpartition("/")[0]
    shutil.copytree(run, tmp_path / "run")
    lake, uri = str(tmp_path / "lake"), trained_once.saved.uri.replace(trained_once.shop.lake, str(tmp_path / "lake"))
    version = replace(trained_once.version, artifact_uri=str(tmp_path / "run" / "candidate"))
    copy = Trained(replace(trained_once.shop, lake=lake), replace(trained_once.saved, uri=uri), version)
    copy.say(training_set_uri=uri)
    return copy
