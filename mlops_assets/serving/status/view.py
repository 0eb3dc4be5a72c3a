"""What the status page tells, as plain values: the routing, and what the workers say of themselves.

Keep out: HTML (`render.py`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from mlops_assets.rollout.heartbeat import Recent, Serving
from mlops_assets.rollout.state import Action, Look
from mlops_assets.serving.live import combined, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_assets.rollout.heartbeat import Heartbeat
    from mlops_assets.rollout.routing import Routed, Routing
    from mlops_assets.rollout.state import Rollout

Well = Literal["well", "failing", "loading", "draining", "empty"]
NEWEST = 6


class ArmView(msgspec.Struct, frozen=True):
    """One arm: what it is, what it gets, and its last minute over all workers.

    Attributes:
        routed: The version that the routing names.
        version: The one that answers; 0: none, because `routed` is not loaded and there is no former one.
    """

    variant: str
    routed: int
    version: int
    rung: str
    share: float
    is_shadow: bool
    recent: Recent


class StepView(msgspec.Struct, frozen=True):
    """One step of a rollout."""

    name: str
    state: Literal["done", "current", "ahead"]
    is_manual: bool


class RolloutView(msgspec.Struct, frozen=True):
    """The newest rollout."""

    id: str
    phase: str
    is_active: bool
    version: int
    since: datetime
    steps: list[StepView]
    look: Look | None
    last: Action | None


class ChangeView(msgspec.Struct, frozen=True):
    """One change of the traffic."""

    generation: int
    at: datetime
    said: str
    reason: str
    who: str


class ModelView(msgspec.Struct, frozen=True):
    """One model.

    Attributes:
        generation: Of the routing; 0 if it could never be read.
        followed: The oldest generation that a worker still has; 0 while one has nothing.
        load_error: Of any worker.
    """

    name: str
    generation: int
    followed: int
    load_error: str
    arms: list[ArmView] = []
    rollout: RolloutView | None = None
    queued: int = 0
    history: list[ChangeView] = []


class WorkerView(msgspec.Struct, frozen=True):
    """One worker."""

    slot: int
    pid: int
    age_seconds: float
    restarts: int
    is_draining: bool
    requests: int


class Status(msgspec.Struct, frozen=True):
    """The whole page.

    Attributes:
        recent: The last minute of all arms, also of those that are gone.
    """

    env: str
    url: str
    at: datetime
    state: Well
    recent: Recent
    wanted: int
    workers: list[WorkerView]
    models: list[ModelView]
    counters: dict[str, float]


def view(
    routings: Mapping[str, Routing], beats: Sequence[Heartbeat], *, env: str, url: str, now: datetime, wall: float
) -> Status:
    """Put together what is shown.

    Args:
        routings: By model; one that a worker knows and whose routing is not to be had is shown without it.
        beats: Of the living workers of this server.
        now: By the clock of the deployment.
        wall: Seconds since the epoch.
    """
    names = {*routings, *(name for beat in beats for name in beat.models)}
    models = sorted((_model(name, routings.get(name), beats) for name in names), key=_rank)
    counters: dict[str, float] = {}
    for beat in beats:
        for name, value in beat.counters.items():
            counters[name] = counters.get(name, 0) + value
    workers = [_worker(beat, wall) for beat in beats]
    wanted = max((beat.workers for beat in beats), default=0)
    recent = total(one for beat in beats for one in beat.recent)
    return Status(env, url, now, _state(models, beats), recent, wanted, workers, models, counters)


def _state(models: Sequence[ModelView], beats: Sequence[Heartbeat]) -> Well:
    if beats and all(beat.is_draining for beat in beats):
        return "draining"
    if not models:
        return "empty"
    if any(model.load_error for model in models):
        return "failing"
    return "well" if all(model.followed for model in models) else "loading"


def _rank(model: ModelView) -> tuple[bool, str]:
    """Put models that something happens to first."""
    return not (model.load_error or (model.rollout and model.rollout.is_active)), model.name


def _worker(beat: Heartbeat, wall: float) -> WorkerView:
    requests = sum(one.requests for one in beat.recent)
    age = max(0.0, wall - beat.started_at)
    return WorkerView(beat.slot, beat.pid, age, beat.restarts, beat.is_draining, requests)


def _model(name: str, routing: Routing | None, beats: Sequence[Heartbeat]) -> ModelView:
    served = [beat.models.get(name, Serving()) for beat in beats]
    followed = min((one.generation for one in served), default=0)
    load_error = next((one.load_error for one in served if one.load_error), "")
    if routing is None:
        return ModelView(name, 0, followed, load_error)
    recents = combined(one for beat in beats for one in beat.recent if one.model == name)
    return ModelView(
        name,
        routing.generation,
        followed,
        load_error,
        _arms(routing, served, recents),
        _rollout(routing.rollout) if routing.rollout else None,
        routing.queued.route.version if routing.queued else 0,
        [_change(entry) for entry in reversed(routing.history[-NEWEST:])],
    )


def _arms(routing: Routing, served: Sequence[Serving], recents: Sequence[Recent]) -> list[ArmView]:
    """Return the arms as they answer in the worker that is furthest behind; one that has nothing yet is not asked."""
    answering = min((one for one in served if one.version), key=lambda one: one.generation, default=Serving())
    minutes = {(one.version, one.variant): one for one in recents}
    champion, traffic = routing.champion.version, routing.challenger

    def arm(variant: str, routed: int, version: int, rung: str, share: float, *, is_shadow: bool = False) -> ArmView:
        nothing = Recent(routing.model, version, variant, 0, 0, 0.0, 0.0)
        return ArmView(variant, routed, version, rung, share, is_shadow, minutes.get((version, variant), nothing))

    if traffic is None:
        return [arm("champion", champion, answering.version, answering.rung, 1.0)]
    routed = traffic.route.version
    version = answering.challenger if answering.challenger == routed else 0
    theirs = traffic.share if version and not traffic.is_shadow else 0.0
    return [
        arm("champion", champion, answering.version, answering.rung, 1 - theirs),
        arm("challenger", routed, version, answering.challenger_rung, theirs, is_shadow=traffic.is_shadow),
    ]


def _rollout(rollout: Rollout) -> RolloutView:
    steps = [
        StepView(
            f"{step['percent']:g} %" if step["percent"] else "shadow",
            _place(place, rollout),
            step.get("gate") == "manual",
        )
        for place, step in enumerate(rollout.plan["steps"])
    ]
    return RolloutView(
        rollout.id,
        rollout.phase,
        rollout.is_active,
        rollout.challenger.version,
        rollout.since,
        steps,
        rollout.looks[-1] if rollout.looks else None,
        rollout.actions[-1] if rollout.actions else None,
    )


def _place(place: int, rollout: Rollout) -> Literal["done", "current", "ahead"]:
    if place < rollout.step or rollout.phase == "promoted":
        return "done"
    return "current" if place == rollout.step else "ahead"


def _change(entry: Routed) -> ChangeView:
    said = f"version {entry.route.version}"
    if entry.challenger is not None:
        other = entry.challenger
        share = "in the shadow" if other.is_shadow else f"with {other.share:.0%}"
        said += f", version {other.route.version} {share}"
    return ChangeView(entry.generation, entry.at, said, entry.reason, entry.who)
