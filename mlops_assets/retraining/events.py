"""The log of what happened to a model and how it ended: one object per event, opened once, closed by a terminal verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mlops_assets.decoding import converted
from mlops_assets.errors import MlopsError
from mlops_assets.lake.state import update

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore

EventKind = Literal["drift", "investigate", "schedule", "manual"]
Verdict = Literal["promoted", "rejected", "held", "acknowledged", "failed"]
PREFIX = "events"


class UnknownEvent(MlopsError):
    """An id names no event."""

    def __init__(self, model: str, event_id: str, found: list[str]) -> None:
        super().__init__(
            f"event {event_id!r} of {model}",
            found=", ".join(found) or "no event",
            required="the id of a stored event",
            remedy="Correct the id.",
        )


@dataclass(frozen=True)
class Event:
    """Something that may call for a new model.

    Attributes:
        id: Name of this event; the same evidence gives the same id, so it opens once.
        version: Model version that was routed.
        window: Key of the window with the evidence; none for a schedule or a person.
        reasons: Sentences for a person.
        evidence: Numbers behind them, by name.
        verdict: How it ended; none while open.
        deferred_until: End of the cool-down that it waits for.
        run_ids: Runs that worked on it.
    """

    id: str
    model: str
    version: int
    kind: EventKind
    window: str | None
    reasons: tuple[str, ...]
    evidence: dict[str, float]
    opened_at: datetime
    verdict: Verdict | None = None
    closed_at: datetime | None = None
    deferred_until: datetime | None = None
    run_ids: tuple[str, ...] = ()
    schema_version: int = 1

    @property
    def is_open(self) -> bool:
        return self.verdict is None


def new_event(
    model: str,
    *,
    version: int,
    kind: EventKind,
    window: str | None,
    subject: str,
    reasons: tuple[str, ...],
    evidence: Mapping[str, float],
    now: datetime,
) -> Event:
    """Return an event whose id follows from what it is about.

    Args:
        model: Name of the model.
        version: Its routed version.
        kind: What the event calls for.
        window: Key of the window with the evidence, if any.
        subject: Identity of the evidence: the id of the window's profile, or the time of a request.
        reasons: Sentences for a person.
        evidence: Numbers behind them.
        now: When the event opens.
    """
    about = "\0".join((model, str(version), kind, window or "", subject))
    event_id = hashlib.sha256(about.encode()).hexdigest()[:16]
    return Event(event_id, model, version, kind, window, reasons, dict(evidence), opened_at=now)


@dataclass(frozen=True)
class EventLog:
    """All events of all models in a state store."""

    state: StateStore

    def open_event(self, event: Event) -> bool:
        """Store a new event; return False when it was opened before, whatever became of it."""
        return self.state.put_if_absent(_key(event.model, event.id), _to_dict(event))

    def open_events(self, model: str | None = None) -> list[Event]:
        """Return the events without a verdict, oldest first."""
        return [event for event in self.history(model) if event.is_open]

    def history(self, model: str | None = None) -> list[Event]:
        """Return all events of one model or of all, oldest first."""
        prefix = f"{PREFIX}/{model}/" if model else f"{PREFIX}/"
        stored = (self.state.read(key) for key in self.state.keys(prefix))
        events = (_from_dict(value[0]) for value in stored if value is not None)
        return sorted(events, key=lambda event: (event.opened_at, event.id))

    def defer(self, model: str, event_id: str, *, until: datetime) -> Event:
        """Note until when an open event waits; a closed one stays as it is."""
        return self._change(model, event_id, deferred_until=until)

    def close(
        self, model: str, event_id: str, *, verdict: Verdict, now: datetime, run_ids: tuple[str, ...] = ()
    ) -> Event:
        """End an event; the first verdict stays.

        Raises:
            UnknownEvent: No such event is stored.
        """
        return self._change(model, event_id, verdict=verdict, closed_at=now, run_ids=run_ids)

    def _change(self, model: str, event_id: str, **fields: Any) -> Event:
        def change(stored: dict[str, Any] | None) -> dict[str, Any]:
            if stored is None:
                raise UnknownEvent(model, event_id, [event.id for event in self.history(model)])
            event = _from_dict(stored)
            return _to_dict(replace(event, **fields)) if event.is_open else stored

        changed, _ = update(self.state, _key(model, event_id), change)
        return _from_dict(changed)


def _key(model: str, event_id: str) -> str:
    return f"{PREFIX}/{model}/{event_id}"


def _to_dict(event: Event) -> dict[str, Any]:
    return msgspec.to_builtins(event)


def _from_dict(stored: Mapping[str, Any]) -> Event:
    return converted(stored, Event)
