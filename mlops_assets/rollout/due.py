"""When a model's rollout wants a run: a look that is due, or a version whose turn has come. Reads nothing; `now` is given."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.rollout.machine import spec_of
from mlops_assets.rollout.turns import obstacle

if TYPE_CHECKING:
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.spec import RolloutSpec
    from mlops_assets.rollout.state import Rollout


def due(routing: Routing, spec: RolloutSpec, *, now: datetime) -> str | None:
    """Return the name of what is due, the same until it is done; None: nothing.

    Args:
        spec: What the model's file says now; a rollout that is under way goes by its own plan.
    """
    rollout, queued = routing.rollout, routing.queued
    if rollout is not None and rollout.is_active:
        is_due = not _last_look(rollout) <= now < next_look(rollout)  # also where the clock was set back
        return tick_name(rollout) if is_due else None
    if queued is None or obstacle(routing, spec, now=now, is_queued=True) is not None:
        return None
    return f"{routing.model}-{queued.route.version}-queued-{queued.at.isoformat()}"


def next_look(rollout: Rollout) -> datetime:
    """Return when a rollout that is under way is judged next."""
    return _last_look(rollout) + timedelta(seconds=spec_of(rollout).interval_seconds)


def tick_name(rollout: Rollout) -> str:
    """Return what the next look of a rollout is called; of one that has ended, its end.

    A tick that a kill left undone has the same name when it is tried again.
    """
    return f"{rollout.id}:{rollout.ticks}"


def standing(rollout: Rollout) -> str:
    """Return what tells one state of a rollout from the next: whoever shows it notes this, and need not show it again."""
    return f"{rollout.id}:{rollout.ticks}:{rollout.phase}:{len(rollout.actions)}"


def _last_look(rollout: Rollout) -> datetime:
    return rollout.ticked_at or rollout.started_at
