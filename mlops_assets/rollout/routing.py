"""The routing of a model: which versions answer now, which one did before, and since when.

The routing object is the truth for traffic; aliases in the registry mirror it. A rollout stands in the same object, so that
its state and the traffic that follows from it change in one swap: whoever is killed in between leaves nothing half done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.decoding import converted
from mlops_assets.rollout.errors import NotRouted, UnknownRoutingSchema
from mlops_assets.rollout.state import Queued, Rollout, Route, Traffic

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.lifecycle import VersionCard

SCHEMA_VERSION = 2
_READABLE = (1, SCHEMA_VERSION)  # 1 knew no challenger
PREFIX = "routing/"


@dataclass(frozen=True)
class Routed:
    """One entry of the history: from `at` on `route` is the champion, and `challenger` has its share.

    Attributes:
        generation: The routing's, from which it holds.
        who: The person; empty where a run did it.
        rejected: The version that this change took out for good.
        let_go: The version that no longer waits for its rollout; the traffic is as it was.
    """

    generation: int
    route: Route
    at: datetime
    reason: str
    who: str = ""
    rejected: int | None = None
    challenger: Traffic | None = None
    let_go: int | None = None


@dataclass(frozen=True)
class Routing:
    """The traffic of one model.

    Attributes:
        previous: What `restore_previous` goes back to; none after the first version and after going back,
            so that going back twice never returns to the version that was found wanting.
        history: Every change of traffic, and every version that was let go while it waited for some; oldest first.
        challenger: What a rollout or an experiment gives to another version than the champion.
        rollout: The newest rollout, also after its end.
        queued: The version whose rollout begins when nothing stands in its way any more.
        untold: Rollouts that have ended and given way to another one, until a run has shown how; the newest of them.
        generation: Counts every change, also those that leave the traffic as it is; the store's own.
    """

    model: str
    champion: Route
    previous: Route | None
    history: tuple[Routed, ...]
    challenger: Traffic | None = None
    rollout: Rollout | None = None
    queued: Queued | None = None
    untold: tuple[Rollout, ...] = ()
    generation: int = 0
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
    return decoded(model, stored[0]), stored[1]


def routed_models(state: StateStore) -> list[str]:
    """Return the names of the models that have a routing, sorted."""
    return [key.removeprefix(PREFIX) for key in state.keys(PREFIX)]


def route_of(card: VersionCard) -> Route:
    """Return the route to a registered version."""
    return Route(card.version, card.candidate_id, card.artifact_uri)


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


def decoded(model: str, value: dict[str, Any]) -> Routing:
    """Return a stored routing.

    Raises:
        UnknownRoutingSchema: Another release wrote the object.
    """
    found = value.get("schema_version")
    if found not in _READABLE:
        raise UnknownRoutingSchema(model, found, SCHEMA_VERSION)
    routing = converted({**value, "schema_version": SCHEMA_VERSION}, Routing)
    return routing if routing.generation else replace(routing, generation=routing.history[-1].generation)
