"""How the FastAPI side refuses: with the problem documents of the hot path, whatever goes wrong there.

Keep out: what a request can be refused for (`problems.py`, `http_problems.py`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from fastapi import FastAPI, Request, Response

from mlops_assets.errors import MlopsError
from mlops_assets.serving.event_ids import EventIds
from mlops_assets.serving.http import PROBLEM
from mlops_assets.serving.http_problems import Failed, Unavailable, UnknownPath, WrongMethod, headers_of
from mlops_assets.serving.problems import Problem

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException

NOT_FOUND, NOT_ALLOWED = 404, 405
log = logging.getLogger(__name__)


def add_refusals(app: FastAPI) -> None:
    """Let every refusal and every fault be a problem document."""
    new_id = EventIds()

    async def refused(_: Request, problem: Problem) -> Response:
        return _response(problem)

    async def unavailable(_: Request, error: MlopsError) -> Response:
        return _response(Unavailable(error))

    async def not_found(request: Request, _: HTTPException) -> Response:
        return _response(UnknownPath(request.scope["path"]))

    async def not_allowed(request: Request, error: HTTPException) -> Response:
        return _response(WrongMethod(request.method, (error.headers or {})["Allow"]))

    async def failed(_: Request, error: Exception) -> Response:
        request_id = new_id()
        log.error("request %s failed: %s", request_id, type(error).__name__)  # the server writes the traceback below it
        return _response(Failed(request_id))

    handlers = {
        Problem: refused,
        MlopsError: unavailable,
        NOT_FOUND: not_found,
        NOT_ALLOWED: not_allowed,
        Exception: failed,
    }
    for what, handler in handlers.items():
        app.add_exception_handler(what, handler)  # pyright: ignore[reportArgumentType]  (Starlette names no subclass)


def _response(problem: Problem) -> Response:
    headers = {name.decode(): value.decode() for name, value in headers_of(problem)}
    body = msgspec.json.encode(problem.to_json())
    return Response(body, problem.status, headers, media_type=PROBLEM.decode())
