"""Who says what time it is: the wall, or a simulated time kept in a file so that every process of a replay agrees.

Keep out: anything that knows data time. `as_of` comes from the data, never from here.
"""

import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

CLOCK_FILE = "clock"
GLANCE_SECONDS = 0.05


class Clock(Protocol):
    """A source of the present time, UTC-aware."""

    def now(self) -> datetime: ...


class SystemClock:
    """The wall clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class SimulatedClock:
    """A time written in a file by whoever replays history; it stands still until the next `set`."""

    path: Path

    def now(self) -> datetime:
        return datetime.fromisoformat(self.path.read_text().strip())

    def set(self, now: datetime) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            file.write(now.astimezone(UTC).isoformat())
        os.replace(file.name, self.path)


class GlancedClock:
    """A clock that is looked at 20 times a second at most: a simulated one is a file, and a server asks for each request."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._now, self._until = clock, clock.now(), time.monotonic() + GLANCE_SECONDS

    def now(self) -> datetime:
        if time.monotonic() >= self._until:
            self._now, self._until = self._clock.now(), time.monotonic() + GLANCE_SECONDS
        return self._now


def open_clock(home: Path) -> Clock:
    """Return the simulated clock of `home` if a replay left one there, else the wall clock."""
    simulated = SimulatedClock(home / CLOCK_FILE)
    return simulated if simulated.path.exists() else SystemClock()


def open_glanced(home: Path) -> Clock:
    """Return the clock of `home` for a process that asks for the time again and again."""
    clock = open_clock(home)
    return GlancedClock(clock) if isinstance(clock, SimulatedClock) else clock
