"""Who says what time it is: the wall, or a simulated time kept in a file so that every process of a replay agrees.

Keep out: anything that knows data time. `as_of` comes from the data, never from here.
"""

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

CLOCK_FILE = "clock"


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


def open_clock(home: Path) -> Clock:
    """Return the simulated clock of `home` if a replay left one there, else the wall clock."""
    simulated = SimulatedClock(home / CLOCK_FILE)
    return simulated if simulated.path.exists() else SystemClock()
