"""The HTTP face of the model server.

Add here: routes. Keep out: what a body means (`body.py`, `columns.py`), which version answers (`models.py`).
"""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST

from mlops_assets import __version__
from mlops_assets.lake.state import StateStore
from mlops_assets.serving.answer import EXAMPLES, Answer, answer
from mlops_assets.serving.body import SCHEMA
from mlops_assets.serving.follower import following
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.models import LoadedModels, Served
from mlops_assets.serving.problems import (
    AmbiguousModel,
    BodyTooLarge,
    NotLoaded,
    Problem,
    UnknownModel,
    UnsupportedContentType,
)

MAX_BODY_BYTES = 8 * 2**20
PROBLEM = {"application/problem+json": {"schema": {"type": "object", "required": ["title", "status", "detail"]}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not JSON, or the model is ambiguous.", "content": PROBLEM},
    404: {"description": "No such model.", "content": PROBLEM},
    413: {"description": "The body is too large.", "content": PROBLEM},
    415: {"description": "The body is not declared as JSON.", "content": PROBLEM},
    422: {"description": "A column or a value does not fit the model.", "content": PROBLEM},
    503: {"description": "No version of the model is loaded.", "content": PROBLEM},
}
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"model": dict[str, Any], "content": {"application/json": {"examples": EXAMPLES}}}
}
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}}


def create_app(state: StateStore, home: Path, *, env: str, url: str) -> FastAPI:
    """Return an app that serves the routed version of every model in `state`.

    Args:
        home: Where this machine keeps heartbeats.
        env: Deployment whose routing this is.
        url: Where the server is reached, for the heartbeat.
    """
    models, metrics = LoadedModels(state), Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        with following(models, home=home, env=env, url=url):
            yield

    app = FastAPI(title="mlops_assets model server", version=__version__, lifespan=lifespan)
    app.add_exception_handler(Problem, _refuse)
    _add_scoring(app, models, metrics)
    _add_reports(app, models, metrics)
    return app


def _add_scoring(app: FastAPI, models: LoadedModels, metrics: Metrics) -> None:
    async def score(request: Request, served: Served) -> Response:
        started = time.perf_counter()
        status, rows = 500, 0
        try:
            answered = await run_in_threadpool(answer, served, await _read_body(request))
            status, rows = 200, len(answered.predictions)
            return _json(answered)
        except Problem as problem:
            status = problem.status
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.count(served.model, served.route.version, status=status, rows=rows, seconds=seconds)

    @app.post("/invocations", responses={**ANSWER, **REFUSALS}, openapi_extra=BODY)
    async def invocations(request: Request) -> Response:
        """Score with the only model that is routed."""
        return await score(request, _only(models))

    @app.post("/models/{name}/invocations", responses={**ANSWER, **REFUSALS}, openapi_extra=BODY)
    async def model_invocations(name: str, request: Request) -> Response:
        """Score with one model."""
        return await score(request, _named(models, name))


def _add_reports(app: FastAPI, models: LoadedModels, metrics: Metrics) -> None:
    @app.get("/ping", responses={503: {"description": "No model answers, or one cannot be loaded at all."}})
    def ping() -> Response:
        """Say whether every routed model answers; a former version that goes on answering counts."""
        report = models.report()
        is_well = bool(report) and all(serving.version for serving in report.values())
        return _json({"models": report}, status=200 if is_well else 503)

    @app.get("/models")
    def list_models() -> Response:
        """List the models with version, generation, load error and what they take."""
        served = models.served
        return _json({name: _describe(serving, served.get(name)) for name, serving in models.report().items()})

    @app.get("/metrics")
    def scrape() -> Response:
        """Answer a Prometheus scrape."""
        return Response(metrics.render(models), media_type=CONTENT_TYPE_LATEST)


def _describe(serving: Any, served: Served | None) -> dict[str, Any]:
    if served is None:
        return msgspec.to_builtins(serving)
    manifest = served.predictor.manifest
    takes = {"features": manifest.features, "request_inputs": manifest.request_inputs}
    return msgspec.to_builtins(serving) | takes | {"task": manifest.task, "classes": manifest.classes}


def _only(models: LoadedModels) -> Served:
    names = list(models.report())
    if not names:
        raise NotLoaded("MODEL", None)
    if len(names) > 1:
        raise AmbiguousModel(names)
    return _named(models, names[0])


def _named(models: LoadedModels, name: str) -> Served:
    served = models.served.get(name)
    if served is not None:
        return served
    report = models.report()
    if name not in report:
        raise UnknownModel(name, report)
    raise NotLoaded(name, report[name].load_error)


async def _read_body(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise UnsupportedContentType(content_type)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(MAX_BODY_BYTES)
    return bytes(body)


async def _refuse(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return _json(problem.to_json(), status=problem.status, media_type="application/problem+json")


def _json(value: Answer | dict[str, Any], *, status: int = 200, media_type: str = "application/json") -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type=media_type)
