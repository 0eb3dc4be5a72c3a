"""What Prometheus may ask of a server: requests, rows, latency, and which version answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from mlops_assets.serving.models import LoadedModels

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The metrics of one app; no global registry, so that two apps of a process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        names = ["model", "version"]
        self._requests = Counter("mlops_requests", "Requests by outcome.", [*names, "status"], registry=self._registry)
        self._rows = Counter("mlops_predictions", "Rows scored.", names, registry=self._registry)
        self._seconds = Histogram(
            "mlops_request_seconds", "Time to answer.", names, buckets=BUCKETS, registry=self._registry
        )
        self._version = Gauge("mlops_model_version", "Version that answers.", ["model"], registry=self._registry)
        self._generation = Gauge("mlops_routing_generation", "Routing followed.", ["model"], registry=self._registry)
        self._failing = Gauge(
            "mlops_load_failing", "1 while the routed version cannot be loaded.", ["model"], registry=self._registry
        )

    def count(self, model: str, version: int, *, status: int, rows: int, seconds: float) -> None:
        """Record one request."""
        self._requests.labels(model, version, status).inc()
        self._rows.labels(model, version).inc(rows)
        self._seconds.labels(model, version).observe(seconds)

    def render(self, models: LoadedModels) -> bytes:
        """Return the text that a scrape reads."""
        for gauge in (self._version, self._generation, self._failing):
            gauge.clear()
        for model, serving in models.report().items():
            self._version.labels(model).set(serving.version)
            self._generation.labels(model).set(serving.generation)
            self._failing.labels(model).set(serving.load_error is not None)
        return generate_latest(self._registry)
