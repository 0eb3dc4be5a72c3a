"""The routing of a model: which version answers now, which one did before, and since when.

The routing object is the truth for traffic; aliases in the registry mirror it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.lake.state import StateStore

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
    """One entry of the history: `route` answers from `at` on."""

    generation: int
    route: Route
    at: datetime
    reason: str


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


class NotRouted(MlopsError):
    """No version answered at that time."""

    def __init__(self, model: str, at: datetime, since: datetime | None) -> None:
        found = f"the first version routed at {since.isoformat()}" if since else "no version routed yet"
        super().__init__(
            f"{model}: version that answered at {at.isoformat()}",
            found=found,
            required="a version routed at or before that time",
            remedy=f"Choose a later window, or materialise `{model}/deployment` first.",
        )


class NoPreviousVersion(MlopsError):
    """There is nothing to go back to."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            f"{model}: going back from version {version}",
            found="no previous version in the routing",
            required="one that answered before it",
            remedy=f"Materialise `{model}/deployment` with the tag `mlops/candidate`: the id of the candidate that you want.",
        )


class UnknownRoutingSchema(MlopsError):
    """The routing object was written by another release."""

    def __init__(self, model: str, found: object) -> None:
        super().__init__(
            f"state {routing_key(model)}",
            found=f"schema_version {found}",
            required=f"schema_version == {SCHEMA_VERSION}",
            remedy="Use the release of mlops_assets that wrote it, or newer.",
        )


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


def start_rollout(state: StateStore, model: str, route: Route, *, now: datetime, reason: str) -> int:
    """Make `route` the champion with all the traffic; return the generation from which it answers.

    Calling it again with the route that already answers changes nothing.
    """

    def change(routing: Routing | None) -> Routing:
        if routing is None:
            return _add(Routing(model, route, None, ()), route, now=now, reason=reason)
        if routing.champion == route:
            return routing
        return _add(replace(routing, previous=routing.champion), route, now=now, reason=reason)

    return _swap(state, model, change)


def restore_previous(state: StateStore, model: str, *, now: datetime, reason: str) -> int:
    """Give the traffic back to the version that answered before; return the new generation.

    Raises:
        NotRouted: The model was never deployed.
        NoPreviousVersion: The champion is the first version, or traffic went back already.
    """

    def change(routing: Routing | None) -> Routing:
        if routing is None:
            raise NotRouted(model, now, None)
        if routing.previous is None:
            raise NoPreviousVersion(model, routing.champion.version)
        return _add(replace(routing, previous=None), routing.previous, now=now, reason=reason)

    return _swap(state, model, change)


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
        raise UnknownRoutingSchema(model, value.get("schema_version"))
    return msgspec.convert(value, Routing)


def _add(routing: Routing, route: Route, *, now: datetime, reason: str) -> Routing:
    generation = routing.history[-1].generation + 1 if routing.history else 1
    return replace(routing, champion=route, history=(*routing.history, Routed(generation, route, now, reason)))


def _swap(state: StateStore, model: str, change: Callable[[Routing | None], Routing]) -> int:
    """Apply `change` to the newest routing; one that changes nothing keeps the generation."""
    from mlops_assets.lake.state import update

    def change_stored(stored: dict[str, Any] | None) -> dict[str, Any]:
        return msgspec.to_builtins(change(None if stored is None else _decoded(model, stored)))

    return update(state, routing_key(model), change_stored)[1]
