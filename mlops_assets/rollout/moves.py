"""How a rollout moves from one phase or step to another; every move leaves an action behind.

Add here: moves. Keep out: when to make them (machine.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.rollout.errors import NotPossibleNow, RolloutFrozen, RolloutOver
from mlops_assets.rollout.freeze import frozen_until
from mlops_assets.rollout.state import Action

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.rollout.spec import RolloutSpec, StepSpec
    from mlops_assets.rollout.state import Phase, Rollout


def moved(rollout: Rollout, phase: Phase, *, who: str, why: str, now: datetime) -> Rollout:
    """Put the rollout into a phase."""
    return replace(rollout, phase=phase, actions=(*rollout.actions, Action(phase, who, now, why)))


def ended(rollout: Rollout, phase: Phase, *, who: str, why: str, now: datetime) -> Rollout:
    """End a rollout that is under way."""
    if not rollout.is_active:
        raise RolloutOver(rollout)
    return moved(rollout, phase, who=who, why=why, now=now)


def forward(rollout: Rollout, spec: RolloutSpec, *, who: str, why: str, now: datetime) -> Rollout:
    """Go to the next step; after the last one hold, or end."""
    if rollout.step < len(spec.steps) - 1:
        action = Action(named(spec.steps[rollout.step + 1]), who, now, why)
        return replace(
            rollout,
            phase="running",
            step=rollout.step + 1,
            since=now,
            failures=0,
            actions=(*rollout.actions, action),
        )
    if spec.hold_minutes:
        return replace(moved(rollout, "holding", who=who, why=why, now=now), since=now)
    return moved(rollout, "promoted", who=who, why=why, now=now)


def require(rollout: Rollout, action: str, *phases: Phase) -> None:
    """Let pass what is possible in the phase that it is in."""
    if not rollout.is_active:
        raise RolloutOver(rollout)
    if rollout.phase not in phases:
        raise NotPossibleNow(rollout, action, phases)


def require_thaw(rollout_id: str, spec: RolloutSpec, now: datetime) -> None:
    """Let pass outside of the freeze windows."""
    until = frozen_until(spec.freeze, now)
    if until is not None:
        raise RolloutFrozen(rollout_id, until)


def named(step: StepSpec) -> str:
    """Return what a step is called in an action."""
    return f"step {step.percent:g} %" if step.percent else "step shadow"
