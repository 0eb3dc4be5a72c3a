"""Ids of events: unique over all workers, ordered by time, and cheap."""

from __future__ import annotations

import secrets
import time
from itertools import count


class EventIds:
    """Makes ids in the form of UUID version 7: milliseconds, then a counter, then the worker.

    Make it in the process that uses it: workers that share one would make the same ids.
    """

    def __init__(self) -> None:
        self._count = count(secrets.randbits(24))
        self._node = secrets.token_hex(6)

    def __call__(self) -> str:
        """Return the next id."""
        ms, number = time.time_ns() // 1_000_000, next(self._count)
        high, low = number >> 14 & 0xFFF, number & 0x3FFF | 0x8000
        return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{high:03x}-{low:04x}-{self._node}"


def utc_text(seconds: float) -> str:
    """Return seconds since the epoch as text in UTC, to the millisecond.

    >>> utc_text(1641920439.25)
    '2022-01-11T17:00:39.250Z'
    """
    whole, rest = divmod(seconds, 1)
    return f"{_second(int(whole))}.{int(rest * 1000):03d}Z"


_last = (0, "1970-01-01T00:00:00")


def _second(whole: int) -> str:
    global _last  # noqa: PLW0603  (one entry of memory: many requests fall into one second)
    second, text = _last
    if second != whole:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _last = (whole, text)
    return text
