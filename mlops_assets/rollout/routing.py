"""The routing of a model: which version answers now, which one did before, and since when.

The routing object is the truth for traffic; aliases in the registry mirror it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.registry.lifecycle import known_card, read_card, require_deployable, withdraw
from mlops_assets.rollout.errors import NoPreviousVersion, NotRouted, UnknownRoutingSchema

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.lifecycle import VersionCard

SCHEMA_VERSION = 1
PREFIX = "routing/"


@dataclass(frozen=True)
class Route:
    """One servable version: its number in the registry, the candidate it came from, and its artefact."""

    version: int
    candidate_id: str
    artifact_uri: str


@dataclass(frozen=True)
class Routed:
    """One entry of the history: `route` answers from `at` on.

    Attributes:
        who: The person; empty where a run did it.
        rejected: The version that this change took out for good.
    """

    generation: int
    route: Route
    at: datetime
    reason: str
    who: str = ""
    rejected: int | None = None


@dataclass(frozen=True)
class Routing:
    """The traffic of one model.

    Attributes:
        previous: What `restore_previous` goes back to; none after the first version and after going back,
            so that going back twice never returns to the version that was found wanting.
        history: Every change, oldest first.
    """

    model: str
    champion: Route
    previous: Route | None
    history: tuple[Routed, ...]
    schema_version: int = SCHEMA_VERSION


def routing_key(model: str) -> str:
    """Return the key of the routing object in the state store."""
    return f"{PREFIX}{model}"


def read_routing(state: StateStore, model: str) -> tuple[Routing, int] | None:
    """Return the routing and its generation, or nothing before the first deployment.

    Raises:
        UnknownRoutingSchema: Another release wrote the object.
    """
    stored = state.read(routing_key(model))
    if stored is None:
        return None
    return _decoded(model, stored[0]), stored[1]


def routed_models(state: StateStore) -> list[str]:
    """Return the names of the models that have a routing, sorted."""
    return [key.removeprefix(PREFIX) for key in state.keys(PREFIX)]


def route_of(card: VersionCard) -> Route:
    """Return the route to a registered version."""
    return Route(card.version, card.candidate_id, card.artifact_uri)


def start_rollout(state: StateStore, model: str, route: Route, *, now: datetime, reason: str, who: str = "") -> int:
    """Make `route` the champion with all the traffic; return the generation from which it answers.

    Calling it again with the route that already answers changes nothing.

    Raises:
        NotDeployable: The version waits for approval or was rejected.
    """

    def change(routing: Routing | None) -> Routing:
        _require_deployable(state, model, route, routing)
        if routing is None:
            return _add(Routing(model, route, None, ()), route, now=now, reason=reason, who=who)
        if routing.champion == route:
            return routing
        return _add(replace(routing, previous=routing.champion), route, now=now, reason=reason, who=who)

    return _swap(state, model, change)


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

    Args:
        reject: The version that is taken out never takes traffic again.
        generation: Only if this is still the newest one; anything newer stays.

    Raises:
        NotRouted: The model was never deployed.
        NoPreviousVersion: The champion is the first version, or traffic went back already.
        NotDeployable: The version before was rejected.
        NoSuchVersion: The version to reject has no card.
    """

    def change(routing: Routing | None) -> Routing:
        if routing is None:
            raise NotRouted(model, now, None)
        if generation not in (None, routing.history[-1].generation):
            return routing
        if routing.previous is None:
            raise NoPreviousVersion(model, routing.champion.version)
        _require_deployable(state, model, routing.previous, routing)
        gone = known_card(state, model, routing.champion.version).version if reject else None
        back = replace(routing, previous=None)
        return _add(back, routing.previous, now=now, reason=reason, who=who, rejected=gone)

    try:
        return _swap(state, model, change)
    finally:
        settle_rejections(state, model)


def settle_rejections(state: StateStore, model: str) -> None:
    """Note on the cards which versions were taken out for good; again after whoever did it was killed in between."""
    stored = read_routing(state, model)
    for entry in stored[0].history if stored else ():
        if entry.rejected is not None:
            withdraw(state, model, entry.rejected, who=entry.who, at=entry.at, why=entry.reason)


def routed_at(routing: Routing, t: datetime) -> Route:
    """Return the route that answered at `t`.

    Raises:
        NotRouted: The first version came later.
    """
    routed = [entry.route for entry in routing.history if entry.at <= t]
    if not routed:
        raise NotRouted(routing.model, t, routing.history[0].at)
    return routed[-1]


def champion_at(state: StateStore, model: str, t: datetime) -> Route:
    """Return the route that answered for `model` at `t`, read from the store.

    Raises:
        NotRouted: The model was not deployed yet at `t`.
    """
    stored = read_routing(state, model)
    if stored is None:
        raise NotRouted(model, t, None)
    return routed_at(stored[0], t)


def _decoded(model: str, value: dict[str, Any]) -> Routing:
    if value.get("schema_version") != SCHEMA_VERSION:
        raise UnknownRoutingSchema(model, value.get("schema_version"), SCHEMA_VERSION)
    return msgspec.convert(value, Routing)


def _require_deployable(state: StateStore, model: str, route: Route, routing: Routing | None) -> None:
    """Let a version pass unless its card or the routing speaks against it; one from before there were cards has none.

    What the routing says is read and changed in one swap, so a version that is taken out cannot slip back in meanwhile.
    """
    if routing and any(entry.rejected == route.version for entry in routing.history):
        settle_rejections(state, model)
    card = read_card(state, model, route.version)
    if card is not None:
        require_deployable(card)


def _add(
    routing: Routing, route: Route, *, now: datetime, reason: str, who: str, rejected: int | None = None
) -> Routing:
    generation = routing.history[-1].generation + 1 if routing.history else 1
    entry = Routed(generation, route, now, reason, who, rejected)
    return replace(routing, champion=route, history=(*routing.history, entry))


def _swap(state: StateStore, model: str, change: Callable[[Routing | None], Routing]) -> int:
    """Apply `change` to the newest routing; one that changes nothing keeps the generation."""
    from mlops_assets.lake.state import update

    def change_stored(stored: dict[str, Any] | None) -> dict[str, Any]:
        return msgspec.to_builtins(change(None if stored is None else _decoded(model, stored)))

    return update(state, routing_key(model), change_stored)[1]
