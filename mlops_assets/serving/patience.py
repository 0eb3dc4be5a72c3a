"""Callers who hold a connection and never say what they want are sent away; uvicorn waits for them for ever.

It costs nothing per request: once a second somebody looks which connections still owe the end of their headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEADERS_SECONDS = 10.0


class Patience:
    """How long each connection has owed its headers."""

    def __init__(self) -> None:
        self._owed: Mapping[Any, tuple[Any, float]] = {}

    def look(self, connections: Iterable[Any], now: float) -> None:
        """Close the connections that owe the same headers for `HEADERS_SECONDS`.

        Args:
            connections: Of uvicorn's `HttpToolsProtocol`.
            now: `time.monotonic()`.
        """
        owing = {one: one.scope for one in connections if _owes_headers(one)}
        before = self._owed
        self._owed = {
            one: before[one] if one in before and before[one][0] is scope else (scope, now)
            for one, scope in owing.items()
        }
        for one, (_, since) in self._owed.items():
            if now - since >= HEADERS_SECONDS:
                one.transport.close()


def _owes_headers(connection: Any) -> bool:
    """Tell whether nobody answers it, and uvicorn's own time for an idle connection does not run.

    It does not before the first reply, nor once anything has come after one.
    """
    is_answered = connection.cycle is not None and not connection.cycle.response_complete
    return not is_answered and connection.timeout_keep_alive_task is None
