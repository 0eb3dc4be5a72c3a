"""One deployment of the shop: its whole loop, run in process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.cli.demo.replay import Replay
from mlops_assets.definitions import build_definitions
from mlops_assets.settings import load_settings
from shop.kept import once
from shop.world import week_start

if TYPE_CHECKING:
    from collections.abc import Callable

SHOP_DEFS = Path(__file__).parent / "defs"
TRAINING_WEEKS = 12
JOB = "returns_retrain"


@dataclass
class Shop:
    """One deployment of the shop.

    Attributes:
        home: Its `MLOPS_HOME`.
        defs: Its definition files, which a test may change.
        replay: Runs its jobs.
    """

    home: Path
    defs: Path
    replay: Replay

    @property
    def lake(self) -> str:
        return load_settings().lake

    def reload(self) -> None:
        """Load the definition files again, as a reload of the code location does."""
        self.replay.definitions = build_definitions(self.defs, strict=True)

    def key(self, week: int) -> str:
        return week_start(week).date().isoformat()

    def ingest(self, first: int, last: int) -> None:
        self.replay.run_range("shop_ingest", first=self.key(first), last=self.key(last))

    @property
    def folder(self) -> Path:
        """Return the folder of everything that belongs to it."""
        return self.home.parent

    @property
    def orders(self) -> Path:
        """Return the file that its source reads."""
        return self.folder / "orders.parquet"

    def prepare(self) -> None:
        """Ingest the training weeks and compute the features."""
        self._once("prepared", self._prepare)

    def deploy(self) -> None:
        """Prepare everything, and give the first version all traffic."""
        self._once("deployed", self._deploy)

    def _once(self, step: str, make: Callable[[], object]) -> None:
        """Do what the same files led to before, if nothing has happened yet and everything is in the home."""
        if Path(self.lake).is_relative_to(self.home) and not (self.home / "lake").exists():
            once(f"{step} {self.lake}", self.home, self.replay.instance, make)
        else:
            make()

    def _prepare(self) -> None:
        self.replay.clock.set(week_start(TRAINING_WEEKS))
        self.ingest(0, TRAINING_WEEKS - 1)
        self.replay.run("features_refresh")

    def _deploy(self) -> None:
        self.prepare()
        self.replay.run(JOB)

    def serve_week(self, week: int) -> dg.ExecuteInProcessResult:
        """Ingest, score and watch one week; return the monitoring run."""
        self.replay.clock.set(week_start(week + 1))
        self.replay.run("shop_ingest", partition=self.key(week))
        self.replay.run("features_refresh")
        self.replay.run("returns_score", partition=self.key(week))
        return self.replay.run("returns_monitor", partition=self.key(week))

    def materialize(self, *assets: str, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """Materialise some assets of the model alone, in a new run."""
        keys = [dg.AssetKey(["returns", asset]) for asset in assets]
        return self.replay.run(JOB, only=keys, tags=tags, may_fail=True)


def value(result: dg.ExecuteInProcessResult, asset: str, name: str) -> object:
    """Return one metadata value of an asset that a run materialised."""
    for event in result.get_asset_materialization_events():
        found = event.step_materialization_data.materialization
        if found.asset_key.path[-1] == asset:
            return found.metadata[name].value
    raise AssertionError(f"{asset} was not materialised")


def error_of(result: dg.ExecuteInProcessResult) -> str:
    """Return why a run failed, causes included."""
    texts = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None:
                texts.append(error.message)
                error = error.cause
    return "\n".join(texts)
