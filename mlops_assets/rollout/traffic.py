"""Changes of a model's routing, each in one swap: all traffic to a version, back to the one before, and whatever a rollout does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.registry.lifecycle import known_card, read_card, require_deployable, withdraw
from mlops_assets.rollout.errors import NoPreviousVersion, NotRouted
from mlops_assets.rollout.moves import moved
from mlops_assets.rollout.routing import Routed, Routing, decoded, read_routing, routing_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.state import Phase, Route


def give_all_traffic(state: StateStore, model: str, route: Route, *, now: datetime, reason: str, who: str = "") -> int:
    """Make `route` the champion with all the traffic; return the generation from which it answers.

    A rollout that is under way ends. Calling it again with the route that already answers alone changes nothing.

    Raises:
        NotDeployable: The version waits for approval or was rejected.
    """

    def change(routing: Routing | None) -> Routing:
        require_routable(state, model, route, routing)
        return with_all_traffic(routing, model, route, now=now, reason=reason, who=who)

    return change_routing(state, model, change, now=now, reason=reason, who=who).generation


def with_all_traffic(
    routing: Routing | None, model: str, route: Route, *, now: datetime, reason: str, who: str
) -> Routing:
    """Return the routing in which `route` has all the traffic; a rollout that is under way ends."""
    if routing is None:
        return Routing(model, route, None, ())
    is_its_challenger = routing.rollout is not None and routing.rollout.challenger == route
    phase: Phase = "promoted" if is_its_challenger else "superseded"
    ended = _ended(routing, phase, who=who, why=f"version {route.version}: {reason}", now=now)
    if ended.queued is not None and ended.queued.route == route:
        ended = replace(ended, queued=None)
    if routing.champion == route:
        return ended
    return replace(ended, champion=route, previous=routing.champion)


def restore_previous(
    state: StateStore,
    model: str,
    *,
    now: datetime,
    reason: str,
    who: str = "",
    reject: bool = False,
    generation: int | None = None,
) -> int:
    """Give the traffic back to the version that answered before; return the new generation.

    While a rollout is under way that is its champion, who then answers alone.

    Args:
        reject: The version that is taken out never takes traffic again.
        generation: Only if traffic has not changed since; anything newer stays.

    Raises:
        NotRouted: The model was never deployed.
        NoPreviousVersion: The champion is the first version, or traffic went back already.
        NotDeployable: The version before was rejected.
        NoSuchVersion: The version to reject has no card.
    """
    gone: list[int | None] = [None]

    def change(routing: Routing | None) -> Routing:
        gone[0] = None
        if routing is None:
            raise NotRouted(model, now, None)
        if generation not in (None, routing.history[-1].generation):
            return routing
        if routing.challenger is not None:
            gone[0] = known_card(state, model, routing.challenger.route.version).version if reject else None
            return _ended(routing, "aborted", who=who, why=reason, now=now)
        if routing.previous is None:
            raise NoPreviousVersion(model, routing.champion.version)
        require_routable(state, model, routing.previous, routing)
        gone[0] = known_card(state, model, routing.champion.version).version if reject else None
        return replace(routing, champion=routing.previous, previous=None)

    try:
        changed = change_routing(state, model, change, now=now, reason=reason, who=who, rejected=lambda: gone[0])
        return changed.generation
    finally:
        settle_rejections(state, model)


def settle_rejections(state: StateStore, model: str) -> None:
    """Note on the cards which versions were taken out for good; again after whoever did it was killed in between."""
    stored = read_routing(state, model)
    for entry in stored[0].history if stored else ():
        if entry.rejected is not None:
            withdraw(state, model, entry.rejected, who=entry.who, at=entry.at, why=entry.reason)


def change_routing(
    state: StateStore,
    model: str,
    change: Callable[[Routing | None], Routing],
    *,
    now: datetime,
    reason: str | Callable[[Routing | None, Routing], str],
    who: str = "",
    rejected: Callable[[], int | None] = lambda: None,
) -> Routing:
    """Apply `change` to the newest routing in one swap, again whenever another writer was first; return the routing.

    The history gets an entry where the traffic changes, and where a version no longer waits for its rollout; a change that
    changes nothing keeps the generation.

    Args:
        change: May be called several times.
        reason: Of the entry in the history; may be told from the routing before and after.
        rejected: The version that the last call of `change` took out for good.
    """
    from mlops_assets.lake.state import update

    def change_stored(stored: dict[str, Any] | None) -> dict[str, Any]:
        before = None if stored is None else decoded(model, stored)
        after = change(before)
        if after == before:
            return stored or {}
        after = replace(after, generation=before.generation + 1 if before else 1)
        why = reason if isinstance(reason, str) else reason(before, after)
        return msgspec.to_builtins(_noted(before, after, now, why, who, rejected()))

    return decoded(model, update(state, routing_key(model), change_stored)[0])


def require_routable(state: StateStore, model: str, route: Route, routing: Routing | None) -> None:
    """Let a version pass unless its card or the routing speaks against it; one from before there were cards has none.

    What the routing says is read and changed in one swap, so a version that is taken out cannot slip back in meanwhile.

    Raises:
        NotDeployable: It waits for approval or was rejected.
    """
    if routing and any(entry.rejected == route.version for entry in routing.history):
        settle_rejections(state, model)
    card = read_card(state, model, route.version)
    if card is not None:
        require_deployable(card)


def _noted(
    before: Routing | None, after: Routing, now: datetime, reason: str, who: str, rejected: int | None
) -> Routing:
    """Add what changed to the history, if the traffic did, or if a version no longer waits for some."""
    let_go = None
    if before and (before.champion, before.challenger) == (after.champion, after.challenger):
        if before.queued is None or after.queued is not None:
            return after
        let_go = before.queued.route.version
        reason = f"version {let_go} no longer waits for its rollout: {reason}"
    entry = Routed(after.generation, after.champion, now, reason, who, rejected, after.challenger, let_go)
    return replace(after, history=(*after.history, entry))


def _ended(routing: Routing, phase: Phase, *, who: str, why: str, now: datetime) -> Routing:
    """Take the challenger out, and close the rollout that was under way."""
    rollout = routing.rollout
    if rollout is not None and rollout.is_active:
        rollout = moved(rollout, phase, who=who, why=why, now=now)
    return replace(routing, challenger=None, rollout=rollout)
