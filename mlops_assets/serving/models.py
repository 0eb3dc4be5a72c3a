"""The models that a server answers with: loaded beside the request path, changed by one reference assignment.

Keep out: HTTP (`app.py`), threads (`follower.py`), how an arm scores (`scoring.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlops_assets.lake.state import require_lake
from mlops_assets.rollout.heartbeat import Serving
from mlops_assets.rollout.routing import read_routing, routed_models
from mlops_assets.serving.scoring import ArmLoader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.state import Route, Traffic
    from mlops_assets.serving.arm import Arm
    from mlops_assets.serving.body import ColumnType

RETRY_SECONDS = 5.0
log = logging.getLogger(__name__)

LoadArm = Callable[["Route"], "Arm"]


@dataclass(frozen=True)
class Served:
    """What answers for one model; a request holds on to one of these from its first to its last byte.

    Attributes:
        generation: Of the routing that it follows.
        challenger: None while there is none, or it cannot be loaded: then the champion has all the traffic.
        traffic: What the challenger gets; None without one.
    """

    model: str
    generation: int
    champion: Arm
    challenger: Arm | None = None
    traffic: Traffic | None = None

    @cached_property
    def columns(self) -> dict[str, ColumnType]:
        """Columns that a request may have: what either arm knows, and what the traffic is split by."""
        known = dict(self.champion.columns)
        for name, kind in self.challenger.columns.items() if self.challenger else ():
            known[name] = kind if known.get(name, kind) == kind else "any"
        for name in self.traffic.assign_by if self.traffic else ():
            known.setdefault(name, "any")
        return known


@dataclass(frozen=True)
class Failure:
    """A version that could not be loaded.

    Attributes:
        generation: Of the routing that names it; 0 where the routing itself could not be read.
        retry_at: By `time.monotonic()`.
    """

    generation: int
    error: str
    retry_at: float


class LoadedModels:
    """The routed versions of every model, as far as they could be loaded.

    Attributes:
        routings: As they were last read, for whoever shows them: a store that is away takes nothing from them. Like `served` and
            `failures` they are replaced, never changed: a reader takes the reference once and sees one state.

    Args:
        load: Loads one version; by default without an online store.

    Attributes:
        loads: Versions loaded so far.
    """

    def __init__(self, state: StateStore, load: LoadArm | None = None) -> None:
        self._state, self._load_arm = state, load or ArmLoader()
        self._arms: dict[str, dict[Route, Arm]] = {}
        self.routings: Mapping[str, Routing] = MappingProxyType({})
        self.served: Mapping[str, Served] = MappingProxyType({})
        self.failures: Mapping[str, Failure] = MappingProxyType({})
        self._following = threading.Lock()
        self.loads = 0

    def follow(self, *, again: bool = False) -> None:
        """Load what the routing names now; a champion that cannot be loaded leaves what was served in place.

        Args:
            again: Also what could not be loaded a moment ago.

        Raises:
            NoLake: The folder of the lake is not there; what was served stays in place, and its report tells.
            Exception: The store does not answer; likewise.
        """
        with self._following:
            routed = self._routed()
            self._keep(routed)
            if again:
                self.failures = MappingProxyType(
                    {name: replace(one, retry_at=0.0) for name, one in self.failures.items()}
                )
            for model in routed:
                self._follow(model)

    def report(self) -> dict[str, Serving]:
        """Return what each model is served with, for heartbeats and `/models`."""
        served, failures = self.served, self.failures
        return {model: _serving(served.get(model), failures.get(model)) for model in sorted({*served, *failures})}

    def _routed(self) -> list[str]:
        try:
            routed = routed_models(self._state)
            if not routed:
                require_lake(self._state)
        except Exception as error:
            away = Failure(0, f"{type(error).__name__}: {error}", retry_at=0.0)
            self.failures = MappingProxyType(dict.fromkeys(self.report(), away))
            raise
        return routed

    def _keep(self, routed: Collection[str]) -> None:
        """Let go of models that have no routing any more; requests under way keep what they hold."""
        self.routings = MappingProxyType({name: one for name, one in self.routings.items() if name in routed})
        self.served = MappingProxyType({name: one for name, one in self.served.items() if name in routed})
        self.failures = MappingProxyType({name: one for name, one in self.failures.items() if name in routed})
        self._arms = {name: arms for name, arms in self._arms.items() if name in routed}

    def _follow(self, model: str) -> None:
        failure, current, generation = self.failures.get(model), self.served.get(model), 0
        try:
            stored = read_routing(self._state, model)
            if stored is None:
                return
            routing, generation = stored
            self.routings = MappingProxyType({**self.routings, model: routing})
            if failure and failure.generation == generation and time.monotonic() < failure.retry_at:
                return
            if failure is None and current and current.generation == generation:
                return
            self._follow_routing(routing, generation)
        except Exception as error:  # noqa: BLE001  (no fault of a new version may stop the former one)
            self._fail(model, generation, error)
        else:
            self.failures = MappingProxyType({name: one for name, one in self.failures.items() if name != model})

    def _follow_routing(self, routing: Routing, generation: int) -> None:
        """Serve what the routing names; of the arms that are loaded those stay which it still names.

        Raises:
            Exception: An arm cannot be loaded; if it is the challenger, the champion has all the traffic by now.
        """
        model, traffic = routing.model, routing.challenger
        try:
            champion = self._arm(model, routing.champion)
        except Exception:
            if model not in self.served and routing.previous is not None:
                self._stand_in(routing, routing.previous)
            raise
        try:
            challenger = self._arm(model, traffic.route) if traffic else None
        except Exception:
            self._serve(Served(model, generation, champion))
            raise
        self._serve(Served(model, generation, champion, challenger, traffic))
        named = {routing.champion, routing.previous, traffic.route if traffic else None}
        self._arms[model] = {route: arm for route, arm in self._arms[model].items() if route in named}

    def _stand_in(self, routing: Routing, previous: Route) -> None:
        """Serve the version before, as every worker does that was there when it answered: a restart changes nothing."""
        with suppress(Exception):  # that of the champion is told
            arm = self._arm(routing.model, previous)
            since = max(entry.generation for entry in routing.history if entry.route == previous)
            self._serve(Served(routing.model, since, arm))

    def _arm(self, model: str, route: Route) -> Arm:
        arms = self._arms.setdefault(model, {})
        if route not in arms:
            arms[route] = self._load_arm(route)
            self.loads += 1
        return arms[route]

    def _serve(self, served: Served) -> None:
        self.served = MappingProxyType({**self.served, served.model: served})

    def _fail(self, model: str, generation: int, error: Exception) -> None:
        """Note a failure; the log has it once, not at each turn.

        Args:
            generation: That could not be loaded; 0: the routing could not be read.
        """
        failed = Failure(generation, f"{type(error).__name__}: {error}", time.monotonic() + RETRY_SECONDS)
        former = self.failures.get(model)
        if former is None or (former.generation, former.error) != (failed.generation, failed.error):
            log.warning("%s: generation %s not loaded: %s", model, generation or "unknown", error)
        self.failures = MappingProxyType({**self.failures, model: failed})


def _refused(served: Served | None) -> dict[str, str]:
    arms = [arm for arm in (served.champion, served.challenger) if arm] if served else []
    return {f"{rung} of version {arm.route.version}": why for arm in arms for rung, why in arm.refused.items()}


def _serving(served: Served | None, failure: Failure | None) -> Serving:
    challenger = served.challenger if served else None
    return Serving(
        generation=served.generation if served else 0,
        version=served.champion.route.version if served else 0,
        load_error=failure.error if failure else None,
        failed_generation=failure.generation if failure else 0,
        challenger=challenger.route.version if challenger else 0,
        rung=served.champion.rung if served else "",
        challenger_rung=challenger.rung if challenger else "",
        refused_rungs=_refused(served),
    )
