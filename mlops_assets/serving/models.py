"""The models that a server answers with: loaded beside the request path, changed by one reference assignment.

Keep out: HTTP (`app.py`), threads (`follower.py`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlops_assets.rollout.heartbeat import Serving
from mlops_assets.rollout.routing import read_routing, routed_models

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.lake.state import StateStore
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.rollout.routing import Route

RETRY_SECONDS = 5.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Served:
    """A loaded version; a request holds on to one of these from its first to its last byte."""

    model: str
    generation: int
    route: Route
    predictor: Predictor


@dataclass(frozen=True)
class Failure:
    """A version that could not be loaded."""

    generation: int
    error: str
    retry_at: float


class LoadedModels:
    """The routed version of every model, as far as it could be loaded.

    `served` and `failures` are replaced, never changed: a reader takes the reference once and sees one state.
    """

    def __init__(self, state: StateStore) -> None:
        self._state = state
        self.served: Mapping[str, Served] = MappingProxyType({})
        self.failures: Mapping[str, Failure] = MappingProxyType({})

    def follow(self) -> None:
        """Load what the routing names now; a version that cannot be loaded leaves the former one in place."""
        routed = routed_models(self._state)
        self.served = MappingProxyType({name: one for name, one in self.served.items() if name in routed})
        self.failures = MappingProxyType({name: one for name, one in self.failures.items() if name in routed})
        for model in routed:
            self._follow(model)

    def report(self) -> dict[str, Serving]:
        """Return what each model is served with, for heartbeats and `/models`."""
        served, failures = self.served, self.failures
        return {model: _serving(served.get(model), failures.get(model)) for model in sorted({*served, *failures})}

    def _follow(self, model: str) -> None:
        failure, generation = self.failures.get(model), 0
        try:
            stored = read_routing(self._state, model)
            if stored is None:
                return
            routing, generation = stored
            if failure and failure.generation == generation and time.monotonic() < failure.retry_at:
                return
            loaded = self._load(model, routing.champion, generation)
        except Exception as error:  # noqa: BLE001  (no fault of a new version may stop the former one)
            log.warning("%s: generation %s not loaded: %s", model, generation, error)
            failed = Failure(generation, f"{type(error).__name__}: {error}", time.monotonic() + RETRY_SECONDS)
            self.failures = MappingProxyType({**self.failures, model: failed})
            return
        if loaded is not self.served.get(model):
            self.served = MappingProxyType({**self.served, model: loaded})
        if failure:
            self.failures = MappingProxyType({name: one for name, one in self.failures.items() if name != model})

    def _load(self, model: str, route: Route, generation: int) -> Served:
        from mlops_assets.predictor.artifact import load

        current = self.served.get(model)
        if current and current.generation == generation:
            return current
        if current and current.route == route:
            return Served(model, generation, route, current.predictor)
        return Served(model, generation, route, load(route.artifact_uri))


def _serving(served: Served | None, failure: Failure | None) -> Serving:
    return Serving(
        generation=served.generation if served else 0,
        version=served.route.version if served else 0,
        load_error=failure.error if failure else None,
        failed_generation=failure.generation if failure else 0,
    )
