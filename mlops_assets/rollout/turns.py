"""When a version's turn comes, and how its rollout then stands in the routing. Pure: routing in, routing out.

Keep out: the store (`rollouts.py`), and what a look decides (`machine.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.rollout import machine
from mlops_assets.rollout.freeze import frozen_until
from mlops_assets.rollout.state import Queued

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.spec import RolloutSpec
    from mlops_assets.rollout.state import Rollout, Route

MOST_UNTOLD = 3  # servers read the routing twice a second, and nobody may ever show them


def on_its_way(
    routing: Routing, route: Route, spec: RolloutSpec, *, now: datetime, reason: str, who: str, salt: str = ""
) -> Routing:
    """Return the routing in which a version begins its rollout, or waits for it; the same if it does already.

    Args:
        salt: See `state.Rollout`.
    """
    if is_under_way(routing, route) or routing.champion == route:
        return routing
    behind = obstacle(routing, spec, now=now)
    if behind is None:
        return begun(routing, route, spec, now=now, reason=reason, who=who, salt=salt)
    is_queued = routing.queued is not None and routing.queued.route == route
    return routing if is_queued else replace(routing, queued=Queued(route, who, now, reason, behind))


def is_under_way(routing: Routing, route: Route) -> bool:
    """Tell whether a version is being rolled out at this moment."""
    return routing.rollout is not None and routing.rollout.is_active and routing.rollout.challenger == route


def obstacle(routing: Routing, spec: RolloutSpec, *, now: datetime, is_queued: bool = False) -> str | None:
    """Return what stands in the way of another version's rollout, as a sentence.

    While a version holds all traffic it is not superseded: all units would go back to the champion before it.

    Args:
        is_queued: The other one waits already, which it would not if it could supersede.
    """
    rollout = routing.rollout
    if rollout is not None and rollout.is_active:
        if rollout.phase == "holding":
            return f"version {rollout.challenger.version} has all traffic and holds it"
        if is_queued or spec.on_new_version == "wait":
            return f"version {rollout.challenger.version} is being rolled out"
    elif routing.challenger is not None:
        return f"version {routing.challenger.route.version} is in an experiment"
    until = frozen_until(spec.freeze, now) if spec.steps[0].percent else None
    return f"nothing goes forward until {until.isoformat()}" if until else None


def begun(
    routing: Routing, route: Route, spec: RolloutSpec, *, now: datetime, reason: str, who: str, salt: str = ""
) -> Routing:
    """Return the routing in which the rollout of a version stands at its first step, in place of any that was."""
    number = 1 + len({label for label in _labels(routing) if label.startswith(f"{routing.model}-{route.version}-")})
    rollout = machine.begin(routing.model, routing.champion, route, spec, number=number, now=now, why=reason, who=who)
    untold, before = routing.untold, routing.rollout
    if before is not None and before.is_active:
        before = machine.supersede(before, who=who, why=f"version {route.version}: {reason}", now=now)
    if before is not None:
        untold = (*untold, before)[-MOST_UNTOLD:]
    return replace(following(routing, replace(rollout, salt=salt)), queued=None, untold=untold)


def following(routing: Routing, rollout: Rollout) -> Routing:
    """Return the routing with a rollout, and with the traffic that follows from it."""
    if rollout == routing.rollout:
        return routing
    if rollout.phase == "promoted":
        promoted = replace(routing, champion=rollout.challenger, previous=rollout.champion)
        return replace(promoted, challenger=None, rollout=rollout)
    return replace(routing, challenger=machine.traffic(rollout), rollout=rollout)


def _labels(routing: Routing) -> list[str]:
    """Return the id of every rollout and experiment that ever took traffic."""
    return [entry.challenger.label.rpartition("/")[0] for entry in routing.history if entry.challenger is not None]
