"""A shop whose whole loop runs in process against a throw-away instance."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import SHOP_DEFS, Shop
from shop.kept import make_home
from shop.versions import Versions, train_two_versions
from shop.world import FIRST_WEEK, Week, write_orders

from mlops_assets.cli.demo.replay import Replay
from mlops_assets.clock import SimulatedClock
from mlops_assets.definitions import build_definitions


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Return a shop with 25 calm weeks of orders and nothing ingested yet, where every test of the process has its own."""
    with opened(tmp_path_factory.getbasetemp() / "shop", monkeypatch) as shop:
        yield shop


@pytest.fixture
def orders(shop: Shop) -> Path:
    """Return the file that the shop's orders come from."""
    return shop.orders


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Return a shop whose model answers, for tests that only use weeks of their own."""
    with pytest.MonkeyPatch.context() as patch, opened(tmp_path_factory.mktemp("deployed"), patch) as shop:
        shop.deploy()
        yield shop


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Return what two versions of a multiclass model left behind; the environment is as it was before."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch, opened(folder, patch) as shop:
        return train_two_versions(shop, places(folder))


@pytest.fixture
def versions(trained: Versions, monkeypatch: pytest.MonkeyPatch) -> Versions:
    """Return the same two versions, found by this process."""
    for name, value in trained.environment.items():
        monkeypatch.setenv(name, value)
    return trained


@contextmanager
def opened(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Shop]:
    home, defs = make_home(folder), folder / "defs"
    shutil.copytree(SHOP_DEFS, defs)
    write_orders(folder / "orders.parquet", [Week()] * 25)
    for name, value in places(folder).items():
        patch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        clock = SimulatedClock(home / "clock")
        clock.set(FIRST_WEEK)
        yield Shop(home, defs, Replay(build_definitions(defs, strict=True), instance, clock))


def places(folder: Path) -> dict[str, str]:
    home = folder / "home"
    return {
        "MLOPS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "MLFLOW_TRACKING_URI": "",
        "SHOP_ORDERS": str(folder / "orders.parquet"),
    }
