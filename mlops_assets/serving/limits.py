"""How much a worker takes at once, and from whom how fast."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from mlops_assets.serving.http_problems import TooBusy, TooFast

if TYPE_CHECKING:
    from limits import RateLimitItem

    from mlops_assets.serving.options import ServerOptions

LONGEST_WINDOW_SECONDS = 3600
NEAR_ENOUGH_SHARE = 0.05


class RateLimit:
    """Requests per second of each caller; a worker allows its share of what all workers allow together.

    Windows are fixed, so that a caller may spend two of them back to back.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._item = None
        if options.requests_per_second is not None:
            from limits.storage import MemoryStorage
            from limits.strategies import FixedWindowRateLimiter

            self._item = window(options.requests_per_second / options.workers)
            self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def check(self, caller: str) -> None:
        """Count one request.

        Raises:
            TooFast: It is one too many.
        """
        if self._item is None or self._limiter.hit(self._item, caller):
            return
        reset = self._limiter.get_window_stats(self._item, caller).reset_time
        wait = max(1, math.ceil(reset - time.time()))
        raise TooFast(caller, self._item.amount, self._item.get_expiry(), wait)


class InFlight:
    """Requests that this worker is answering."""

    def __init__(self, most: int) -> None:
        self.now, self._most = 0, most

    def __enter__(self) -> None:
        if self.now >= self._most:
            raise TooBusy(self._most)
        self.now += 1

    def __exit__(self, *_: object) -> None:
        self.now -= 1


def window(per_second: float) -> RateLimitItem:
    """Return the shortest whole window that holds a whole number of requests, to within a twentieth."""
    from limits import RateLimitItemPerSecond

    for seconds in range(1, LONGEST_WINDOW_SECONDS):
        wanted = per_second * seconds
        if round(wanted) >= 1 and abs(round(wanted) - wanted) <= NEAR_ENOUGH_SHARE * wanted:
            return RateLimitItemPerSecond(round(wanted), seconds)
    return RateLimitItemPerSecond(1, LONGEST_WINDOW_SECONDS)
