"""Carry out what triage decided: hold the window, open the event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.retraining.events import Event, EventLog, new_event
from mlops_assets.retraining.held import hold
from mlops_assets.retraining.triage import Hold, Investigate

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.lake.windows import Window
    from mlops_assets.monitoring.drift import DriftReport
    from mlops_assets.retraining.triage import Triage


def respond(
    decision: Triage,
    report: DriftReport,
    *,
    state: StateStore,
    model: str,
    version: int,
    window: Window,
    profile_id: str,
    now: datetime,
) -> Event | None:
    """Store what a decision asks for and return its event, opened now or before; repeating it changes nothing."""
    if isinstance(decision, Hold):
        return None
    event = new_event(
        model,
        version=version,
        kind="investigate" if isinstance(decision, Investigate) else "drift",
        window=window.key,
        subject=profile_id,
        reasons=decision.reasons,
        evidence={channel.name: channel.psi for channel in report.channels if channel.alarms},
        now=now,
    )
    if isinstance(decision, Investigate):
        hold(state, model, window, reason="; ".join(decision.reasons), event_id=event.id)
    EventLog(state).open_event(event)
    return event
