"""The shop as a code location of real processes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from shop.deployment import SHOP_DEFS, Shop
from shop.location import Location
from shop.world import FIRST_WEEK, Week, write_orders

from mlops_assets.cli.demo.replay import Replay
from mlops_assets.clock import SimulatedClock
from mlops_assets.definitions import build_definitions
from mlops_assets.resources.instance import open_instance
from mlops_assets.settings import load_settings


@pytest.fixture(scope="module")
def monkeymodule() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def make_location(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Location]:
    """Yield a shop on a persistent instance that `prepare_instance` made, its processes not started yet."""
    home, defs, orders = folder / "home", folder / "defs", folder / "orders.parquet"
    home.mkdir()
    shutil.copytree(SHOP_DEFS, defs)
    write_orders(orders, [Week()] * 25)
    places = {"MLOPS_HOME": home, "DAGSTER_HOME": home / "dagster", "MLFLOW_TRACKING_URI": "", "SHOP_ORDERS": orders}
    for name, value in {**places, "SHOP_TRAINING_WAITS": folder / "training_waits"}.items():
        patch.setenv(name, str(value))
    with open_instance(load_settings()) as instance:
        clock = SimulatedClock(home / "clock")
        clock.set(FIRST_WEEK)
        location = Location(Shop(home, defs, Replay(build_definitions(defs, strict=True), instance, clock)))
        yield location
        if hasattr(location, "process"):
            location.kill()


@pytest.fixture
def location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    yield from make_location(tmp_path, monkeypatch)
