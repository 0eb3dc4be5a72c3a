"""A place for one worker: who has it, and when it is filled again.

Keep out: the others (`workers.py`), what a worker does (`process.py`).
"""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.serving.tether import Tether, Word

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from mlops_assets.serving.tether import Order

    Start = Callable[[int, int, int], subprocess.Popen[bytes]]

LONG_LIFE_SECONDS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 0.25, 30.0
HUNG_SECONDS, START_SECONDS = 30.0, 300.0
log = logging.getLogger(__name__)


@dataclass
class Slot:
    """One place.

    Attributes:
        start: Starts a worker: slot, how often the place was filled before, and a file descriptor that it inherits, by which
            it is tied to us.
        was_ready: Some worker has answered here.
        is_quiet: The worker, told to drain, has nobody left.
    """

    number: int
    start: Start
    process: subprocess.Popen[bytes] | None = None
    tether: Tether | None = None
    restarts: int = -1
    was_ready: bool = False
    is_quiet: bool = False
    _quick_deaths: int = 0
    _start_at: float = 0.0
    _started_at: float = 0.0
    _signed_at: float = 0.0
    _is_ready: bool = False

    def tend(self) -> None:
        """Start a worker if there should be one, and kill one that gives no sign of life."""
        now = time.monotonic()
        if self.process is None and now >= self._start_at:
            self._fill(now)
        elif self.process and now - self._signed_at > (HUNG_SECONDS if self._is_ready else START_SECONDS):
            log.error("worker %s (process %s) gives no sign of life; killed", self.number, self.process.pid)
            self.process.kill()
            self._signed_at = now  # it takes a moment to die

    def ended(self) -> tuple[int, int] | None:
        """Return process id and exit code of a worker that has ended since, and make ready for the next one."""
        if self.process is None or self.process.poll() is None:
            return None
        pid, code, now = self.process.pid, self.process.returncode, time.monotonic()
        self._quick_deaths = 0 if now - self._started_at >= LONG_LIFE_SECONDS else self._quick_deaths + 1
        self._start_at = now + pause_seconds(self._quick_deaths)
        if self.tether:
            self.tether.close()
        self.process = self.tether = None
        return pid, code

    def hear(self) -> None:
        """Take note of what the worker has said."""
        for word in (self.tether.hear() if self.tether else None) or ():
            self._signed_at = time.monotonic()
            self._is_ready |= word == Word.READY
            self.was_ready |= word == Word.READY
            if word in (Word.BUSY, Word.QUIET):
                self.is_quiet = word == Word.QUIET

    def tell(self, order: Order) -> None:
        """Give the worker an order."""
        if self.tether:
            self.tether.say(order)

    def kill(self) -> None:
        """End the worker, whatever it does."""
        if self.process:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()

    def _fill(self, now: float) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.restarts += 1
            self.process, self.tether = self.start(self.number, self.restarts, theirs.fileno()), Tether(ours)
        self._started_at = self._signed_at = now
        self._is_ready = self.is_quiet = False


def pause_seconds(quick_deaths: int) -> float:
    """Return how long a place stays empty: not at all after a long life, longer after each short one.

    >>> [pause_seconds(number) for number in (0, 1, 2, 3, 20)]
    [0.0, 0.25, 0.5, 1.0, 30.0]
    """
    if not quick_deaths:
        return 0.0
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (quick_deaths - 1))
