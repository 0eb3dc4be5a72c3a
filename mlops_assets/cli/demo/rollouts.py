"""Rollouts of the demo: real requests to a real server, and the sensor's looks, minutes apart on the simulated clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.cli.demo.mishap import WHY, register_mishap
from mlops_assets.cli.demo.story import MODEL, Rolled
from mlops_assets.cli.demo.traffic import flights_of, served
from mlops_assets.rollout.promotion import bring
from mlops_assets.rollout.routing import read_routing

if TYPE_CHECKING:
    from mlops_assets.assets.model import Model
    from mlops_assets.cli.demo.replay import Replay
    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.state import Rollout
    from mlops_assets.settings import Settings

BETWEEN_LOOKS = timedelta(minutes=5)
REQUESTS_PER_LOOK = 600
SHADOW_SECONDS = 0.3  # for what is scored after the replies
MOST_LOOKS = 40


@dataclass(frozen=True)
class Rollouts:
    """What it takes to play one."""

    replay: Replay
    settings: Settings
    model: Model

    @property
    def is_under_way(self) -> bool:
        rollout = self._routing().rollout
        return rollout is not None and rollout.is_active

    def play(self, window: str) -> Rolled:
        """Send the flights of a week to a server until the rollout that is under way has ended."""
        online = [dg.AssetKey(["online_features", view]) for view in self.model.views]
        self.replay.run("features_refresh", only=online)
        looks = 0
        with served(self.settings, flights_of(self.settings, self.model, window)) as client:
            while self.is_under_way and looks < MOST_LOOKS:
                client.send(REQUESTS_PER_LOOK)
                time.sleep(SHADOW_SECONDS)
                self.replay.clock.set(self.replay.clock.now() + BETWEEN_LOOKS)
                self.replay.tick("rollouts")
                looks += 1
        rollout = self._routing().rollout
        assert rollout is not None, "it was under way"
        return _told(rollout, window)

    def play_mishap(self, window: str) -> Rolled:
        """Roll out a version that is wrong, and let the rollout find out; go on where an interrupted demo stopped."""
        if not self.is_under_way:
            mlflow, now = (self.replay.definitions.resources or {})["mlflow"], self.replay.clock.now()
            card = register_mishap(self._routing().champion, mlflow, state=self._state, now=now)
            bring(self._state, MODEL, card.version, self.model.rollout, who="a colleague", now=now, reason=WHY)
        return self.play(window)

    @property
    def _state(self) -> StateStore:
        from mlops_assets.lake.state import open_state

        return open_state(self.settings.lake)

    def _routing(self) -> Routing:
        stored = read_routing(self._state, MODEL)
        assert stored is not None, "the first version was deployed"
        return stored[0]


def _told(rollout: Rollout, window: str) -> Rolled:
    steps = " → ".join("shadow" if look.percent == 0 else f"{look.percent:g} %" for look in rollout.looks)
    last = rollout.actions[-1]
    return Rolled(window, rollout.challenger.version, rollout.phase.replace("_", " "), steps, last.why)
