"""Decide, from the open events of a model and the runs that worked on them, what to launch, put off, or close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mlops_assets.retraining.events import Event, Verdict
    from mlops_assets.retraining.spec import RetrainingSpec

BUDGET_DAYS = 30


@dataclass(frozen=True)
class RunState:
    """A run that named an event; `verdict` is what became of its candidate, whatever became of the run.

    It is `waiting` until the version that the run registered was rejected, or has all traffic, or never will.
    """

    run_id: str
    status: Literal["active", "succeeded", "failed"]
    verdict: Literal["promoted", "rejected", "waiting"] | None = None


@dataclass(frozen=True)
class Launch:
    """Start one run for all these events; the run key makes a second request for it harmless."""

    event_ids: tuple[str, ...]
    run_key: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Defer:
    """Let the event wait for the end of the cool-down."""

    event_id: str
    until: datetime


@dataclass(frozen=True)
class Close:
    """End the event."""

    event_id: str
    verdict: Verdict
    run_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wait:
    """Do nothing about these events now."""

    event_ids: tuple[str, ...]
    reason: str


Decision = Launch | Defer | Close | Wait


def plan(
    events: Sequence[Event],
    *,
    runs: Mapping[str, Sequence[RunState]],
    spec: RetrainingSpec,
    retrained_at: Sequence[datetime],
    now: datetime,
    active: bool,
) -> tuple[Decision, ...]:
    """Decide on the open events of one model.

    Args:
        events: Open events, oldest first.
        runs: Runs that named each event.
        spec: Cool-down, budget and attempts.
        retrained_at: When retraining runs of this model were launched, those of failed runs left out.
        now: Present time of the deployment's clock.
        active: Whether a retraining of this model is queued or running, for whatever reason.
    """
    closing = [close for event in events if (close := _close(event, runs.get(event.id, ()), spec))]
    closed = {close.event_id for close in closing}
    answered = tuple(event.id for event in events if event.id not in closed and _is_open(runs.get(event.id, ())))
    waits = (
        (Wait(answered, "a version that answers them waits for approval, or is being rolled out"),) if answered else ()
    )
    rest = [event for event in events if event.id not in closed and event.id not in answered]
    return (*closing, *waits, *_start(rest, runs=runs, spec=spec, retrained_at=retrained_at, now=now, active=active))


def _close(event: Event, runs: Sequence[RunState], spec: RetrainingSpec) -> Close | None:
    """Return the end of an event that has one."""
    if event.kind == "investigate":
        return Close(event.id, "held")
    run_ids = tuple(run.run_id for run in runs)
    verdicts = [run.verdict for run in runs if run.verdict]
    if "promoted" in verdicts:
        return Close(event.id, "promoted", run_ids)
    if _is_open(runs):
        return None
    if verdicts:
        return Close(event.id, "rejected", run_ids)
    if sum(run.status != "active" for run in runs) >= spec.max_attempts:
        return Close(event.id, "failed", run_ids)
    return None


def _is_open(runs: Sequence[RunState]) -> bool:
    return any(run.verdict == "waiting" for run in runs)


def _start(
    events: Sequence[Event],
    *,
    runs: Mapping[str, Sequence[RunState]],
    spec: RetrainingSpec,
    retrained_at: Sequence[datetime],
    now: datetime,
    active: bool,
) -> tuple[Decision, ...]:
    """Return one launch for all events that may start, else why not."""
    if not events:
        return ()
    if active or any(run.status == "active" for event in events for run in runs.get(event.id, ())):
        return (Wait(tuple(event.id for event in events), "a retraining of this model is queued or running"),)
    until = _free_at(spec, retrained_at, now)
    if until > now and not any(event.kind == "manual" for event in events):
        return tuple(Defer(event.id, until) for event in events if event.deferred_until != until)
    first = events[0]
    attempt = 1 + max(len(runs.get(event.id, ())) for event in events)
    reasons = tuple(reason for event in events for reason in event.reasons)
    return (Launch(tuple(event.id for event in events), f"{first.id}:{attempt}", reasons),)


def _free_at(spec: RetrainingSpec, retrained_at: Sequence[datetime], now: datetime) -> datetime:
    """Return when cool-down and budget next allow a retraining; `now` if they do already."""
    times = sorted(at for at in retrained_at if at > now - timedelta(days=BUDGET_DAYS))
    after_cooldown = max(retrained_at) + timedelta(days=spec.cooldown_days) if retrained_at else now
    spent = spec.budget_per_30d is not None and len(times) >= spec.budget_per_30d
    after_budget = times[-spec.budget_per_30d] + timedelta(days=BUDGET_DAYS) if spent and spec.budget_per_30d else now
    return max(now, after_cooldown, after_budget)
