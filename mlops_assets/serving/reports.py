"""The routes that tell: metrics, models and the status page. They change nothing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from mlops_assets.serving.openapi import refusals, schema_of
from mlops_assets.serving.scorer import served_as
from mlops_assets.serving.status.render import page, policy, sections, title
from mlops_assets.serving.status.view import Status, view

if TYPE_CHECKING:
    from mlops_assets.rollout.heartbeat import Serving
    from mlops_assets.serving.admin import Controls
    from mlops_assets.serving.metrics import Metrics
    from mlops_assets.serving.models import Served

PAGE_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
JSON = "application/json"


def add_reports(app: FastAPI, metrics: Metrics, controls: Controls) -> None:
    """Add the routes."""
    models = controls.models

    @app.get("/models", tags=["reports"])
    def list_models() -> Response:
        """List the models with version, generation, load error and what they take."""
        served = models.served
        listed = {name: _describe(serving, served.get(name)) for name, serving in models.report().items()}
        return Response(msgspec.json.encode(listed), media_type=JSON)

    @app.get("/models/{name}/schema", tags=["reports"], responses=refusals(404, 503))
    def schema(name: str) -> Response:
        """Return the JSON schema of the rows that a model takes."""
        return Response(msgspec.json.encode(schema_of(served_as(models, name))), media_type=JSON)

    @app.get("/metrics", tags=["reports"], response_class=PlainTextResponse)
    def scrape() -> Response:
        """Answer a Prometheus scrape, for all workers."""
        return Response(metrics.render(models.report()), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    def status_page() -> HTMLResponse:
        """Show what is served, how well, and how far a rollout is."""
        return HTMLResponse(page(_status(controls)), headers={**PAGE_HEADERS, "content-security-policy": policy()})

    @app.get("/status.json", tags=["reports"])
    def status() -> Response:
        """Return what the status page shows; `sections` is its HTML."""
        now = _status(controls)
        shown = {"title": title(now), "sections": sections(now), "status": now}
        return Response(msgspec.json.encode(shown), media_type=JSON, headers=PAGE_HEADERS)


def _status(controls: Controls) -> Status:
    now, beats = controls.clock.now(), controls.workers()
    return view(controls.models.routings, beats, env=controls.env, url=controls.url, now=now, wall=time.time())


def _describe(serving: Serving, served: Served | None) -> dict[str, Any]:
    if served is None:
        return msgspec.to_builtins(serving)
    manifest = served.champion.manifest
    takes = {"features": manifest.features, "request_inputs": manifest.request_inputs}
    return msgspec.to_builtins(serving) | takes | {"task": manifest.task, "classes": manifest.classes}
