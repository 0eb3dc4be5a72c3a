"""The online store as a server meets it: with a time limit on each call, and behind a breaker.

A call that fails or takes too long counts. After `FAILURES` in a row nobody calls for `PAUSE_SECONDS`; then one call tries.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import pybreaker

from mlops_assets.features.online.store import NotOnline, UnreadableOnlineState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.features.online.store import OnlineStore, StoredView

FAILURES = 5
PAUSE_SECONDS = 5.0
log = logging.getLogger(__name__)


class GuardedStore:
    """One store, shared by the arms of a worker.

    Attributes:
        defaulted: Rows with a fallback in place of a looked-up feature.
        failures: Lookups that failed, by the name of the error.
    """

    def __init__(self, store: OnlineStore, *, pause_seconds: float = PAUSE_SECONDS) -> None:
        self.defaulted, self.failures = 0, Counter[str]()
        self._store = store
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=pause_seconds,  # pyright: ignore[reportArgumentType]  (seconds, also parts of one)
            exclude=[NotOnline, UnreadableOnlineState],  # it answered; the view is at fault
        )

    @property
    def is_open(self) -> bool:
        """Whether nobody calls at present."""
        return self._breaker.current_state == pybreaker.STATE_OPEN

    def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[StoredView, list[bytes | None]]]:
        """Read as `OnlineStore.read` does.

        Raises:
            CircuitBreakerError: It failed too often just now.
            Exception: What the store raises.
        """
        return self._breaker.call(self._store.read, wanted)

    def note(self, error: Exception) -> None:
        """Count a lookup that failed."""
        name = type(error).__name__
        if not self.failures[name]:
            log.warning("online store: %s: %s; fallbacks stand in", name, error)
        self.failures[name] += 1


def open_guarded(url: str, *, env: str, timeout_s: float) -> GuardedStore:
    """Return the store of a deployment, its calls limited to `timeout_s` each.

    Raises:
        UnknownOnlineStore: No store has such a URL.
        MissingExtra: The store's library is not installed.
    """
    from mlops_assets.features.online.places import open_store

    return GuardedStore(open_store(url, env=env, timeout_s=timeout_s))
