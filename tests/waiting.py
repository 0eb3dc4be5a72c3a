"""Waiting for what another process or thread does."""

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], seconds: float = 90, *, why: Callable[[], str] = lambda: "") -> Any:
    """Return the first true value of `condition`; poll until a deadline that only a fault reaches."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not come true in time\n{why()}"
        time.sleep(0.05)
    return found
