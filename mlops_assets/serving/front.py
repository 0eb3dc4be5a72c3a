"""The door of one worker: which port answers what, and what changes while the server drains.

Keep out: everything that costs time when nothing is to be kept apart and nobody stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.serving.http import refuse, reply
from mlops_assets.serving.http_problems import UnknownPath

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mlops_assets.serving.http import App, Receive, Scope, Send
    from mlops_assets.serving.worker import Worker

PUBLIC = ("/ping", "/invocations", "/feedback")
PUBLIC_ENDS = ("/invocations", "/feedback")


class Front:
    """The ASGI callable that uvicorn has.

    Args:
        admin_port: The port that alone answers what is not public; None: every port answers everything.
    """

    def __init__(self, app: App, worker: Worker, *, admin_port: int | None = None) -> None:
        self._app, self._worker, self._admin_port = app, worker, admin_port
        self._is_plain = admin_port is None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or pass it on."""
        if self._is_plain or scope["type"] != "http":
            return self._app(scope, receive, send)
        path = scope["path"]
        if self._worker.is_draining and path == "/ping":
            return reply(send, {"draining": True}, status=503)
        if not self._is_open(path, scope["server"]):
            return refuse(send, UnknownPath(path), [])
        return self._app(scope, receive, send)

    def drain(self) -> None:
        """Answer health checks with 503 from now on, so that nobody sends more."""
        self._worker.is_draining, self._is_plain = True, False

    def _is_open(self, path: str, server: tuple[str, int | None]) -> bool:
        if self._admin_port is None or server[1] == self._admin_port:
            return True
        return path in PUBLIC or (path.startswith("/models/") and path.endswith(PUBLIC_ENDS))
