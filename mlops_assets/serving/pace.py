"""Where an arm is scored, and with whom: on the event loop once it has shown that it is quick, else in a thread of its own.

On the event loop, requests that came in together are scored together: one call of the model for all of them. What they would
wait for each other's calls is longer than what they wait for the common one.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from mlops_assets.serving.arm import INLINE_ROWS, Scored
from mlops_assets.serving.tracing import carried, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlops_assets.serving.arm import Arm
    from mlops_assets.serving.body import Record

PROVEN = 10
QUICK_CPU_SECONDS, QUICK_SECONDS = 0.003, 0.05
THREADS = 4
TIMED_SECONDS = 0.05
QUIET_TURNS = 3


class _Call(msgspec.Struct):
    """A request that waits for its scores, and how long they took; None: it was not scored by itself."""

    rows: Sequence[Record]
    until: float
    answer: asyncio.Future[tuple[Scored, float | None]]


class Paced:
    """One arm of one worker.

    A call on the event loop holds up every other request, so an arm earns its place there: so many quick calls in a row.
    One that is not quick sends it back. CPU time decides too, because a thread that waits for the loop looks slow. Made and used
    in an event loop.
    """

    def __init__(self, arm: Arm) -> None:
        self.arm = arm
        self._loop = asyncio.get_running_loop()
        self._quick = 0
        self._threads: ThreadPoolExecutor | None = None
        self._waiting: list[_Call] = []
        self._next_timed = 0.0

    @property
    def is_quick(self) -> bool:
        """Whether a few rows are scored on the event loop."""
        return self._quick >= PROVEN

    async def score(self, rows: Sequence[Record], *, until: float) -> tuple[Scored, float | None]:
        """Return the scores, and the seconds that they took; None where other requests were scored with them.

        Up to every `TIMED_SECONDS` a request is scored by itself, so that arms can be compared whatever their load is.

        Raises:
            TimeoutError: There are none by `until`.
        """
        with span("score"):
            if self.is_quick and len(rows) <= INLINE_ROWS:
                answer: asyncio.Future[tuple[Scored, float | None]] = self._loop.create_future()
                if not self._waiting:
                    self._loop.call_soon(self._gather, 0, QUIET_TURNS)
                self._waiting.append(_Call(rows, until, answer))
                scored, seconds = await answer
            else:
                self._threads = self._threads or ThreadPoolExecutor(THREADS, thread_name_prefix="arm")
                work = self._loop.run_in_executor(self._threads, carried(self._in_thread), rows, until)
                scored, seconds = await asyncio.wait_for(work, until - time.monotonic())
        if time.monotonic() > until:
            raise TimeoutError
        return scored, seconds

    def _gather(self, known: int, turns: int) -> None:
        """Score what waits once so many turns of the event loop brought nobody new; a turn without work takes microseconds."""
        now = len(self._waiting)
        left = QUIET_TURNS if now > known else turns - 1
        if left and now < INLINE_ROWS:
            self._loop.call_soon(self._gather, now, left)
        else:
            self._score_waiting()

    def _score_waiting(self) -> None:
        calls, self._waiting = self._waiting, []
        if time.monotonic() >= self._next_timed:
            self._next_timed = time.monotonic() + TIMED_SECONDS
            self._score_alone(calls.pop(0))
        while calls:
            alike, calls = _alike(calls)
            if len(alike) == 1:
                self._score_alone(alike[0])
            else:
                self._score_together(alike)

    def _score_alone(self, call: _Call) -> None:
        try:
            scored = self._here(call.rows, call.until)
        except Exception as error:  # noqa: BLE001  (it is the request's)
            if not call.answer.done():
                call.answer.set_exception(error)
        else:
            if not call.answer.done():  # or the request was cancelled
                call.answer.set_result(scored)

    def _score_together(self, calls: Sequence[_Call]) -> None:
        """Score requests of one row in one call; where that fails, each by itself, which says whose fault it is."""
        try:
            scored, _ = self._here([call.rows[0] for call in calls], max(call.until for call in calls))
        except Exception:  # noqa: BLE001  (see above)
            for call in calls:
                self._score_alone(call)
            return
        for call, row in zip(calls, rows_of(scored), strict=True):
            if not call.answer.done():
                call.answer.set_result((row, None))

    def _here(self, rows: Sequence[Record], until: float) -> tuple[Scored, float]:
        started = time.perf_counter()
        try:
            scored = self.arm.score(rows, until=until)
        finally:
            seconds = time.perf_counter() - started
            if seconds >= QUICK_SECONDS:
                self._quick = 0
        return scored, seconds

    def _in_thread(self, rows: Sequence[Record], until: float) -> tuple[Scored, float]:
        started, cpu = time.perf_counter(), time.thread_time()
        try:
            scored = self.arm.score(rows, until=until)
        finally:
            seconds = time.perf_counter() - started
            is_quick = seconds < QUICK_SECONDS and time.thread_time() - cpu < QUICK_CPU_SECONDS
            if len(rows) <= INLINE_ROWS:
                self._quick = self._quick + 1 if is_quick else 0
        return scored, seconds


def _alike(calls: Sequence[_Call]) -> tuple[Sequence[_Call], list[_Call]]:
    """Return the calls that can be scored with the first one, and the others.

    They are those of one row with the same columns, which an arm treats alike.
    """
    first = calls[0]
    if len(first.rows) != 1:
        return calls[:1], list(calls[1:])
    names = first.rows[0].keys()
    alike: list[_Call] = []
    others: list[_Call] = []
    for call in calls:
        is_alike = len(call.rows) == 1 and call.rows[0].keys() == names and len(alike) < INLINE_ROWS
        (alike if is_alike else others).append(call)
    return alike, others


def rows_of(scored: Scored) -> Iterator[Scored]:
    """Yield what a group's scores say of each of its rows."""
    names = tuple(scored.features)
    vectors = zip(*map(zip, scored.features.values()), strict=True)  # by row: each value as a column of one
    for place, (prediction, vector) in enumerate(zip(scored.predictions, vectors, strict=True)):
        as_of = scored.features_as_of[place : place + 1]
        yield Scored([prediction], dict(zip(names, vector, strict=True)), as_of, scored.defaulted)
