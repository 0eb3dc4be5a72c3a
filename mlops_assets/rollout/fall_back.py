"""What a server does to the traffic by itself: it takes a failing challenger out, so that the champion answers alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.rollout import machine
from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.traffic import change_routing

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.routing import Routing

SERVER = "server"


def owner_of(label: str) -> str:
    """Return the rollout or experiment that a label of traffic belongs to.

    >>> owner_of("delay-13-1/2")
    'delay-13-1'
    """
    return label.rpartition("/")[0]


def fall_back(state: StateStore, model: str, label: str, *, why: str, now: datetime) -> Routing:
    """Take the challenger of `label` out in one swap, and roll its rollout back; return the routing.

    Whichever step it has reached meanwhile; another rollout or experiment is left alone.

    Raises:
        NotRouted: The model has no traffic.
    """

    def change(routing: Routing | None) -> Routing:
        if routing is None:
            raise NotRouted(model, now, None)
        if routing.challenger is None or owner_of(routing.challenger.label) != owner_of(label):
            return routing
        rollout = routing.rollout
        if rollout is not None and rollout.is_active:
            rollout = machine.roll_back(rollout, who=SERVER, why=why, now=now)
        return replace(routing, challenger=None, rollout=rollout)

    return change_routing(state, model, change, now=now, reason=f"{owner_of(label)}: {why}", who=SERVER)
