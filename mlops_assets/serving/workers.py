"""The holder of several workers: it listens, they answer. One that dies is started again; all of them stop together.

Keep out: what a worker does (`process.py`). The holder answers no request and loads no model.
"""

from __future__ import annotations

import logging
import selectors
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops_assets.serving.door import shut
from mlops_assets.serving.slot import Slot
from mlops_assets.serving.tether import Order

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator, Sequence

    from mlops_assets.serving.slot import Start

POLL_SECONDS = 0.05
ABANDON_SECONDS = 2.0
log = logging.getLogger(__name__)


class Workers:
    """The workers of one server.

    Args:
        start: See `Slot`.
        bury: Called with slot and process id of each worker that has ended.
        drain_seconds: How long new connections are taken after the order to stop.
        stop_seconds: How long a worker may then take for what is in flight.
    """

    def __init__(
        self,
        count: int,
        listeners: Sequence[socket.socket],
        *,
        start: Start,
        bury: Callable[[int, int], None],
        drain_seconds: float,
        stop_seconds: float,
    ) -> None:
        self._slots = [Slot(number, start) for number in range(count)]
        self._listeners, self._bury = listeners, bury
        self._drain_seconds, self._stop_seconds = drain_seconds, stop_seconds
        self._signals = 0

    def run(self) -> int:
        """Keep the workers going until a signal comes; return the exit code, 1 if none of them could even start."""
        with self._counting_signals():
            try:
                while not self._signals:
                    for slot in self._slots:
                        slot.tend()
                    self._listen()
                    if self._collect():
                        return 1
                self._drain()
                self._wait()
            finally:
                for slot in self._slots:
                    slot.kill()
                self._collect()
        return 0

    def _collect(self) -> bool:
        """Bury workers that have ended; tell whether one could not start, and none ever has: then no next one will."""
        is_hopeless = False
        for slot in self._slots:
            ended = slot.ended()
            if ended is None:
                continue
            pid, code = ended
            self._bury(slot.number, pid)
            if not self._signals:
                log.error("worker %s (process %s) ended with exit code %s", slot.number, pid, code)
                is_hopeless |= code > 0 and not any(one.was_ready for one in self._slots)
        return is_hopeless

    def _listen(self) -> None:
        """Hear what the workers say, for a moment."""
        with selectors.DefaultSelector() as selector:
            for slot in self._slots:
                if slot.tether:
                    selector.register(slot.tether.fileno(), selectors.EVENT_READ, slot)
            started = time.monotonic()
            for key, _ in selector.select(POLL_SECONDS):
                key.data.hear()
        time.sleep(max(0.0, POLL_SECONDS / 5 - (time.monotonic() - started)))

    def _drain(self) -> None:
        """Let the workers serve on until nobody is there or it is time; then shut the way in."""
        self._tell(Order.DRAIN)
        until = time.monotonic() + self._drain_seconds
        while self._living() and self._signals == 1 and time.monotonic() < until:
            self._listen()
            self._collect()
            if all(slot.is_quiet for slot in self._living()):
                break
        for listener in self._listeners:
            shut(listener)

    def _wait(self) -> None:
        """Let the workers end what is in flight, unless a second signal says not to."""
        self._tell(Order.END)
        until = time.monotonic() + self._stop_seconds
        while self._living() and self._signals == 1 and time.monotonic() < until:
            self._listen()
            self._collect()
        self._tell(Order.ABANDON)
        until = time.monotonic() + ABANDON_SECONDS
        while self._living() and time.monotonic() < until:
            self._listen()
            self._collect()

    def _living(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.process]

    def _tell(self, order: Order) -> None:
        for slot in self._slots:
            slot.tell(order)

    @contextmanager
    def _counting_signals(self) -> Generator[None, None, None]:
        def count(*_: object) -> None:
            self._signals += 1

        former = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
