"""The other arm on the same inputs, after the reply: a bounded queue that is worked off while nobody waits.

In a shadow step the challenger scores what the champion answered; at the other steps the champion scores what the challenger
answered, so that both are known on the same rows. While others are being answered, they are scored a few at a time, for an arm
that is quick scores several for little more than one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from itertools import accumulate, starmap, takewhile
from typing import TYPE_CHECKING

from mlops_assets.serving.arms import Part
from mlops_assets.serving.log_lines import line_of
from mlops_assets.serving.problems import LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.serving.arms import Arms
    from mlops_assets.serving.capture import Capture
    from mlops_assets.serving.limits import InFlight
    from mlops_assets.serving.log_lines import Asked
    from mlops_assets.serving.models import Served
    from mlops_assets.serving.options import ServerOptions

PATIENCE_SECONDS = 0.005  # for each shadow
ROWS_TOGETHER = 10
SUFFIX = "-shadow"
log = logging.getLogger(__name__)


class Shadow:
    """The shadows of one worker; made and used in its event loop.

    Attributes:
        waiting: Rows that wait.
        scored: Requests that were scored.
        dropped: Requests that were not, because too many rows waited or the server stopped.
        failures: Requests that the arm failed on.
    """

    def __init__(self, arms: Arms, capture: Capture, in_flight: InFlight, options: ServerOptions) -> None:
        self.waiting = self.scored = self.dropped = self.failures = 0
        self._arms, self._capture, self._in_flight, self._options = arms, capture, in_flight, options
        self._queue: deque[tuple[Served, Part, Asked]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def offer(self, served: Served, parts: Sequence[Part], asked: Asked) -> None:
        """Queue what the other arm is to score of a request that was answered."""
        for part in parts:
            shadow = shadow_of(served, part)
            if shadow is None:
                continue
            if self.waiting + len(part.rows) > self._options.shadow_queue:
                self.dropped += 1
                continue
            self.waiting += len(part.rows)
            self._queue.append((served, shadow, asked))
        if self._queue and (self._worker is None or self._worker.done()):
            self._worker = asyncio.create_task(self._work())

    def close(self) -> None:
        """Score no more."""
        if self._worker is not None:
            self._worker.cancel()
        self.dropped += len(self._queue)
        self._queue.clear()

    async def _work(self) -> None:
        while self._queue:
            count = self._count_together()
            await asyncio.sleep(count * PATIENCE_SECONDS if self._in_flight.now else 0)
            taken = [self._queue.popleft() for _ in range(min(count, len(self._queue)))]
            await asyncio.gather(*starmap(self._take, taken))

    def _count_together(self) -> int:
        """Return how many of those that wait are scored at once: so many rows of an arm that is quick, else one."""
        served, part, _ = self._queue[0]
        if not self._arms.is_quick(served, part.arm):
            return 1
        rows = accumulate(len(part.rows) for _, part, _ in self._queue)
        return max(1, sum(1 for _ in takewhile(lambda total: total <= ROWS_TOGETHER, rows)))

    async def _take(self, served: Served, part: Part, asked: Asked) -> None:
        self.waiting -= len(part.rows)
        if self._arms.is_out(served):
            self.dropped += 1
            return
        try:
            await self._score(served, part, asked)
        except Exception:
            log.exception("%s: a shadow was lost", served.model)

    async def _score(self, served: Served, part: Part, asked: Asked) -> None:
        await self._arms.shadow(served, part, time.monotonic() + self._options.deadline_ms / 1000)
        self.scored += 1
        self.failures += part.scored is None
        if self._options.log == "off":
            return
        line = line_of(served, part, asked, latency_us=int((part.seconds or 0) * 1e6), role="shadow")
        try:
            await self._capture.commit(served.model, [line])
        except LogUnavailable:
            self.dropped += 1


def shadow_of(served: Served, part: Part) -> Part | None:
    """Return what the other arm is to score of a part that was answered as it was assigned; None: nothing."""
    traffic, challenger = served.traffic, served.challenger
    if traffic is None or challenger is None or not part.units or part.variant != part.assigned or part.scored is None:
        return None
    event_id = part.event_id + SUFFIX
    if part.variant == "challenger":
        return Part(served.champion, "champion", "challenger", event_id, part.rows, part.positions, part.units)
    if traffic.is_shadow:
        return Part(challenger, "challenger", "champion", event_id, part.rows, part.positions, part.units)
    return None
