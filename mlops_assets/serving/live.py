"""What one worker did in the last minute: requests, errors and latency of each arm, in a ring of seconds.

A latency is counted in one of 140 classes that grow by a tenth, so that the counts of several workers add up and a
quantile is at most 5 % off.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter, deque
from typing import TYPE_CHECKING

from mlops_assets.rollout.heartbeat import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

WINDOW_SECONDS = 60
SMALLEST_MS, GROWTH = 0.05, 1.1
BOUNDS = [SMALLEST_MS * GROWTH**place for place in range(140)]
SERVER_ERROR = 500


def quantile_ms(latency: Mapping[int, int], share: float) -> float:
    """Return the latency below which `share` of the requests stayed.

    >>> quantile_ms({0: 3, 80: 1}, 0.5) < 0.06
    True
    """
    wanted = share * sum(latency.values())
    for place, count in sorted(latency.items()):
        wanted -= count
        if wanted <= 0:
            return SMALLEST_MS * GROWTH ** (place - 0.5)
    return 0.0


def recent_of(model: str, version: int, variant: str, errors: int, latency: Mapping[int, int]) -> Recent:
    """Return the numbers of one arm."""
    p50_ms, p99_ms = round(quantile_ms(latency, 0.5), 3), round(quantile_ms(latency, 0.99), 3)
    return Recent(model, version, variant, sum(latency.values()), errors, p50_ms, p99_ms, dict(latency))


class Ring:
    """The last minute of one arm, second by second. One thread records, any thread reads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._until = clock, -math.inf
        self._seconds: deque[tuple[float, list[int]]] = deque(maxlen=WINDOW_SECONDS)
        self._counts: list[int] = []

    def count(self, status: int, seconds: float) -> None:
        """Record one request."""
        now = self._clock()
        if now >= self._until:
            self._begin(now)
        counts = self._counts
        counts[bisect_left(BOUNDS, seconds * 1000)] += 1
        if status >= SERVER_ERROR:
            counts[-1] += 1

    def read(self) -> tuple[int, dict[int, int]]:
        """Return errors, and the requests by class of latency."""
        oldest = self._clock() - WINDOW_SECONDS
        latency: Counter[int] = Counter()
        errors = 0
        for begun, counts in list(self._seconds):
            if begun > oldest:
                errors += counts[-1]
                latency.update({place: count for place, count in enumerate(counts[:-1]) if count})
        return errors, dict(latency)

    def _begin(self, now: float) -> None:
        second = float(math.floor(now))
        self._counts, self._until = [0] * (len(BOUNDS) + 2), second + 1
        self._seconds.append((second, self._counts))


def combined(recents: Iterable[Recent]) -> list[Recent]:
    """Add up what several workers saw of each arm.

    >>> one, other = recent_of("churn", 3, "champion", 1, {5: 2}), recent_of("churn", 3, "champion", 0, {5: 1})
    >>> [both] = combined([one, other])
    >>> (both.requests, both.errors, both.latency)
    (3, 1, {5: 3})
    """
    arms: dict[tuple[str, int, str], list[Recent]] = {}
    for one in recents:
        arms.setdefault((one.model, one.version, one.variant), []).append(one)
    return [_added(*arm, parts) for arm, parts in sorted(arms.items())]


def total(recents: Iterable[Recent]) -> Recent:
    """Add up all arms."""
    return _added("", 0, "", list(recents))


def _added(model: str, version: int, variant: str, parts: list[Recent]) -> Recent:
    latency: Counter[int] = Counter()
    for one in parts:
        latency.update(one.latency)
    return recent_of(model, version, variant, sum(one.errors for one in parts), latency)
