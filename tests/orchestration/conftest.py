"""A shop whose whole loop runs in process against a throw-away instance."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import SHOP_DEFS, Shop
from shop.world import FIRST_WEEK, Week, write_orders

from mlops_assets.cli.demo.replay import Replay
from mlops_assets.clock import SimulatedClock
from mlops_assets.definitions import build_definitions


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Return a shop with 25 calm weeks of orders and nothing ingested yet."""
    home, defs = tmp_path / "home", tmp_path / "defs"
    home.mkdir()
    shutil.copytree(SHOP_DEFS, defs)
    orders = tmp_path / "orders.parquet"
    write_orders(orders, [Week()] * 25)
    monkeypatch.setenv("SHOP_ORDERS", str(orders))
    for name, value in {"MLOPS_HOME": home, "DAGSTER_HOME": home / "dagster", "MLFLOW_TRACKING_URI": ""}.items():
        monkeypatch.setenv(name, str(value))
    with dg.DagsterInstance.ephemeral() as instance:
        clock = SimulatedClock(home / "clock")
        clock.set(FIRST_WEEK)
        yield Shop(home, defs, Replay(build_definitions(defs, strict=True), instance, clock))
