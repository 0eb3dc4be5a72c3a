"""What became of a version: by the routing, and by its card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mlops_assets.registry.lifecycle import read_card
from mlops_assets.rollout.routing import read_routing

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.routing import Routing

Outcome = Literal["promoted", "rejected", "open", "unknown"]


def became(routing: Routing, version: int) -> Outcome:
    """Return what became of a version.

    `promoted`: it was given all traffic at some time. `open`: it is being rolled out, or waits for its turn. `rejected`: its
    rollout ended otherwise, or it was let go while it waited. `unknown`: none of these.
    """
    rollout = routing.rollout
    if any(entry.route.version == version for entry in routing.history):
        return "promoted"
    if rollout is not None and rollout.is_active and rollout.challenger.version == version:
        return "open"
    if routing.queued is not None and routing.queued.route.version == version:
        return "open"
    if any(entry.challenger and entry.challenger.route.version == version for entry in routing.history):
        return "rejected"
    if any(entry.let_go == version for entry in routing.history):
        return "rejected"
    return "unknown"


def verdict_on(
    state: StateStore, model: str, version: int, *, has_steps: bool
) -> Literal["promoted", "rejected", "waiting"]:
    """Return what became of a version that was open: approved or not, and then its rollout.

    One that was approved and never had a share counts as promoted where there are no steps: a person chose not to deploy it.
    With steps it waits, for the rollout that follows its approval, until a newer version takes its place.
    """
    card, stored = read_card(state, model, version), read_routing(state, model)
    if card is None or card.status == "pending":
        return "waiting"
    outcome = became(stored[0], version) if stored else "unknown"
    if outcome == "open":
        return "waiting"
    if outcome != "unknown":
        return outcome
    if card.status == "rejected" or (has_steps and stored and version < _newest(stored[0])):
        return "rejected"
    return "waiting" if has_steps else "promoted"


def _newest(routing: Routing) -> int:
    """Return the newest version that ever had a share, or waits for one."""
    routes = [entry.route for entry in routing.history]
    routes += [entry.challenger.route for entry in routing.history if entry.challenger]
    routes += [routing.queued.route] if routing.queued else []
    return max(route.version for route in routes)
