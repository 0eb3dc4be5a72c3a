"""Which version of a model plays which part, by the routing and the cards alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.registry.lifecycle import cards
from mlops_assets.rollout.routing import read_routing

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore


def roles(state: StateStore, model: str) -> dict[str, int]:
    """Return the version of each role that is taken.

    `champion` answers, `previous` is the one to go back to, `challenger` is the one that a rollout or an experiment compares
    with the champion, else the newest that came after the champion and was not rejected.
    """
    stored = read_routing(state, model)
    routed: dict[str, int] = {}
    if stored is not None:
        routed["champion"] = stored[0].champion.version
        if stored[0].previous is not None:
            routed["previous"] = stored[0].previous.version
        if stored[0].challenger is not None:
            return {**routed, "challenger": stored[0].challenger.route.version}
    champion = routed.get("champion", 0)
    newer = [one.version for one in cards(state, model) if one.version > champion and one.status != "rejected"]
    return {**routed, "challenger": newer[-1]} if newer else routed
