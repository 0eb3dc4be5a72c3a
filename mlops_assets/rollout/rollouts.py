"""The rollout of a model in its routing: how it begins, each look, and the word of a person, each in one swap.

State and traffic stand in one object, so that a kill at any moment leaves either the one or the other (ADR 0033).
Keep out: what a look decides (`machine.py`), how the evidence is read and judged (handed over), and what follows (`settling.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from mlops_assets.registry.errors import NotDeployable
from mlops_assets.rollout import machine
from mlops_assets.rollout.errors import NoRollout, NotRouted
from mlops_assets.rollout.traffic import change_routing, require_routable, with_all_traffic
from mlops_assets.rollout.turns import begun, following, obstacle, on_its_way

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.evidence import Evidence
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.spec import RolloutSpec
    from mlops_assets.rollout.state import Route

    Judge = Callable[[Routing], Evidence]
Word = Literal["pause", "resume", "abort", "promote"]


def start(
    state: StateStore, model: str, route: Route, spec: RolloutSpec | None, *, now: datetime, reason: str, who: str = ""
) -> Routing:
    """Bring a version to full traffic as its model's file says: in steps, or at once; return the routing.

    The first version of a model takes everything at once, since there is nothing to compare it with. A version that
    something stands in the way of is `queued`, in place of any that was. Again with the same version nothing changes.

    Args:
        spec: With `assign_by` written out; None: all traffic at once.

    Raises:
        NotDeployable: The version waits for approval or was rejected.
    """

    def change(routing: Routing | None) -> Routing:
        require_routable(state, model, route, routing)
        if routing is None or spec is None:
            return with_all_traffic(routing, model, route, now=now, reason=reason, who=who)
        return on_its_way(routing, route, spec, now=now, reason=reason, who=who)

    return change_routing(state, model, change, now=now, reason=_start_reason(reason), who=who)


def start_queued(state: StateStore, model: str, spec: RolloutSpec, *, now: datetime) -> Routing:
    """Begin the rollout of the version that waits for it, if nothing stands in its way any more.

    One that was rejected meanwhile waits no longer.

    Raises:
        NotRouted: The model was never deployed.
    """

    def change(stored: Routing | None) -> Routing:
        routing = _routed(model, stored, now)
        queued = routing.queued
        if queued is None or obstacle(routing, spec, now=now, is_queued=True) is not None:
            return routing
        try:
            require_routable(state, model, queued.route, routing)
        except NotDeployable:
            return replace(routing, queued=None)
        return begun(routing, queued.route, spec, now=now, reason=queued.why, who=queued.who)

    def said(_: Routing | None, after: Routing) -> str:
        return after.rollout.actions[-1].why if after.rollout and after.challenger else "rejected while it waited"

    return change_routing(state, model, change, now=now, reason=said)


def advance(state: StateStore, model: str, judge: Judge, *, now: datetime) -> Routing:
    """Look once at the rollout that is under way, and let the traffic follow; return the routing.

    Whoever changed the routing meanwhile was first: the evidence is judged again, for the rollout as it then is. If that was
    another run with the same look, nothing is left to do.

    Args:
        judge: Reads and judges the evidence of the current step; may be called several times.

    Raises:
        NotRouted: The model was never deployed.
    """
    ticks: dict[str, int] = {}  # of each rollout that was met, as it was met first

    def change(stored: Routing | None) -> Routing:
        routing = _routed(model, stored, now)
        rollout = routing.rollout
        if rollout is None or not rollout.is_active:
            return routing
        if rollout.ticks > ticks.setdefault(rollout.id, rollout.ticks):
            return routing
        return following(routing, machine.tick(rollout, judge(routing), now))

    return change_routing(state, model, change, now=now, reason=_newest_action)


def act(state: StateStore, model: str, word: Word, *, who: str, why: str, now: datetime, full: bool = False) -> Routing:
    """Let a person have a say in the rollout that is under way; return the routing.

    Without one, `abort` lets a version go that waits for its rollout.

    Args:
        full: With `promote`: all traffic now, whatever the evidence.

    Raises:
        NotRouted: The model was never deployed.
        NoRollout: It never had a rollout.
        MlopsError: The machine allows it in another phase only.
    """

    def change(stored: Routing | None) -> Routing:
        routing = _routed(model, stored, now)
        rollout = routing.rollout
        if word == "abort" and routing.queued is not None and not (rollout and rollout.is_active):
            return replace(routing, queued=None)
        if rollout is None:
            raise NoRollout(model)
        if word == "promote":
            require_routable(state, model, rollout.challenger, routing)
            return following(routing, machine.promote(rollout, who=who, why=why, now=now, full=full))
        moves = {"pause": machine.pause, "resume": machine.resume, "abort": machine.abort}
        return following(routing, moves[word](rollout, who=who, why=why, now=now))

    def said(before: Routing | None, after: Routing) -> str:
        return why if before and after.rollout == before.rollout else _newest_action(before, after)

    return change_routing(state, model, change, now=now, reason=said, who=who)


def refuse(state: StateStore, model: str, *, why: str, now: datetime, generation: int) -> Routing:
    """Roll back the rollout that is under way, unless traffic has changed since `generation`; return the routing."""

    def change(stored: Routing | None) -> Routing:
        routing = _routed(model, stored, now)
        rollout = routing.rollout
        if rollout is None or not rollout.is_active or routing.history[-1].generation != generation:
            return routing
        return following(routing, machine.roll_back(rollout, who="", why=why, now=now))

    return change_routing(state, model, change, now=now, reason=_newest_action)


def note_told(state: StateStore, model: str, told: Collection[str], *, now: datetime) -> Routing:
    """Note of rollouts that gave way to another one that their end is shown, by their ids; return the routing."""

    def change(stored: Routing | None) -> Routing:
        routing = _routed(model, stored, now)
        return replace(routing, untold=tuple(one for one in routing.untold if one.id not in told))

    return change_routing(state, model, change, now=now, reason="")


def _start_reason(reason: str) -> Callable[[Routing | None, Routing], str]:
    def said(before: Routing | None, after: Routing) -> str:
        ended = before.rollout if before else None
        if ended is None or not ended.is_active or after.rollout is None or ended.id == after.rollout.id:
            return reason
        share = before.challenger.share if before and before.challenger else 0
        return f"{reason} (supersedes {ended.id} at {100 * share:g} %)"

    return said


def _newest_action(_: Routing | None, after: Routing) -> str:
    """Return, for the history, why a rollout has moved the traffic."""
    if after.rollout is None:
        return ""
    last = after.rollout.actions[-1]
    return f"{after.rollout.id}, {last.what}: {last.why}"


def _routed(model: str, routing: Routing | None, now: datetime) -> Routing:
    if routing is None:
        raise NotRouted(model, now, None)
    return routing
