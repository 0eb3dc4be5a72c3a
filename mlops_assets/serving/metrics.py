"""What Prometheus may ask of a server, right whichever of its workers answers.

Several workers share memory-mapped files, one set a worker (`shared.py`); a worker that is started again goes on in the files
of the one before it, so counters never fall. Add here: metrics. Keep out: what they are measured at.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

from mlops_assets.serving.live import Ring, recent_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlops_assets.rollout.heartbeat import Recent, Serving

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
OK = 200

# Kept as plain numbers by the part of the server that they are about, and read at each scrape and heartbeat.
Total = Literal[
    "log_lines",
    "log_bytes",
    "log_shed",
    "log_failures",
    "shadow_scored",
    "shadow_dropped",
    "shadow_failures",
    "lookups_defaulted",
]
Level = Literal["in_flight", "shadow_waiting", "breaker_open"]
HELP: dict[str, str] = {
    "log_lines": "Lines of the prediction log that are written.",
    "log_bytes": "Bytes of the prediction log that are written.",
    "log_shed": "Lines of the prediction log that were given up, because it could not be written.",
    "log_failures": "Writes of the prediction log that failed.",
    "shadow_scored": "Requests that the shadow scored.",
    "shadow_dropped": "Requests that the shadow did not score, because too many waited.",
    "shadow_failures": "Requests that the shadow failed on.",
    "lookups_defaulted": "Rows with a fallback in place of a looked-up feature.",
    "in_flight": "Requests that are being answered.",
    "shadow_waiting": "Requests that wait for the shadow.",
    "breaker_open": "Breakers that are open, of online store and challenger.",
}


class _Arm(NamedTuple):
    requests: dict[int, Counter]
    rows: Counter
    seconds: Histogram
    ring: Ring


class Metrics:
    """The metrics of one worker; no global registry, so that two apps of a process do not mix.

    Args:
        shared: Folder of the files that all workers share; None: this process is the only one.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared, registry = shared, CollectorRegistry()
        self._registry, self._publishing = registry, threading.Lock()
        self._arms: dict[tuple[str, int, str], _Arm] = {}
        self._totals: dict[str, tuple[Counter, Callable[[], float], list[float]]] = {}
        self._levels: dict[str, tuple[Gauge, Callable[[], float]]] = {}
        arm = ["model", "version", "variant"]
        self._requests = Counter("mlops_requests", "Requests by outcome.", [*arm, "status"], registry=registry)
        self._rows = Counter("mlops_predictions", "Rows scored.", arm, registry=registry)
        self._seconds = Histogram("mlops_request_seconds", "Time to answer.", arm, buckets=BUCKETS, registry=registry)
        self._rejected = Counter("mlops_rejected", "Requests refused unscored.", ["reason"], registry=registry)
        self._version = _gauge("mlops_model_version", "Version of an arm.", registry, ["model", "variant"], mode="max")
        self._generation = _gauge("mlops_routing_generation", "Routing followed.", registry, ["model"], mode="min")
        self._failing = _gauge(
            "mlops_load_failing", "1 while a routed version cannot be loaded.", registry, ["model"], mode="max"
        )
        self._restarts = Counter("mlops_worker_restarts", "Workers started again after they died.", registry=registry)

    def count(self, model: str, version: int, variant: str, *, status: int, rows: int, seconds: float) -> None:
        """Record what one arm answered."""
        arm = self._arms.get((model, version, variant)) or self._bind(model, version, variant)
        requests = arm.requests.get(status)
        if requests is None:
            requests = arm.requests[status] = self._requests.labels(model, version, variant, status)
        requests.inc()
        if status == OK:
            arm.rows.inc(rows)
        arm.seconds.observe(seconds)
        arm.ring.count(status, seconds)

    def reject(self, reason: str) -> None:
        """Record a request that was refused before an arm was chosen, such as `401` or `429`."""
        self._rejected.labels(reason).inc()

    def watch(self, name: Total | Level, read: Callable[[], float]) -> None:
        """Take a number that another part of the server keeps; `read` is called by any thread."""
        if name in get_args(Total):
            counter = Counter(f"mlops_{name}", HELP[name], registry=self._registry)
            self._totals[name] = (counter, read, [0.0])
        else:
            self._levels[name] = (_gauge(f"mlops_{name}", HELP[name], self._registry, mode="sum"), read)

    def recent(self) -> list[Recent]:
        """Return the last minute of each arm that answered in it."""
        read = [(arm, one.ring.read()) for arm, one in list(self._arms.items())]
        return [recent_of(*arm, *numbers) for arm, numbers in read if numbers[1]]

    def watched(self) -> dict[str, float]:
        """Return the numbers of the other parts, as this worker has them now."""
        reads = {name: read for name, (_, read, _) in self._totals.items()}
        return {
            name: float(read()) for name, read in (reads | {name: one[1] for name, one in self._levels.items()}).items()
        }

    def restarted(self) -> None:
        """Record that this worker stands in for one that died."""
        self._restarts.inc()

    def publish(self, report: dict[str, Serving]) -> None:
        """Bring gauges and watched numbers up to date, for whichever worker is scraped next."""
        with self._publishing:
            for counter, read, last in self._totals.values():
                now = read()
                counter.inc(max(0.0, now - last[0]))
                last[0] = now
            for gauge, read in self._levels.values():
                gauge.set(read())
            for model, serving in report.items():
                self._publish_model(model, serving)

    def _publish_model(self, model: str, serving: Serving) -> None:
        self._generation.labels(model).set(serving.generation)
        self._failing.labels(model).set(serving.load_error is not None)
        self._version.labels(model, "champion").set(serving.version)
        self._version.labels(model, "challenger").set(serving.challenger)

    def render(self, report: dict[str, Serving]) -> bytes:
        """Return the text that a scrape reads."""
        self.publish(report)
        if self._shared is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=str(self._shared))
        return generate_latest(registry)

    def _bind(self, model: str, version: int, variant: str) -> _Arm:
        names = (model, version, variant)
        arm = _Arm({}, self._rows.labels(*names), self._seconds.labels(*names), Ring())
        self._arms[names] = arm
        return arm


def share(slot: int) -> None:
    """Keep the numbers of every metric made from now on in the files of one worker, below PROMETHEUS_MULTIPROC_DIR.

    prometheus_client names the files after the process; after the slot, a worker that is started again finds its counters.
    """
    values.ValueClass = values.MultiProcessValue(lambda: slot)


def forget_levels(folder: Path, slot: int) -> None:
    """Drop the gauges of a worker that died; its counters stay."""
    multiprocess.mark_process_dead(slot, path=str(folder))


def _gauge(
    name: str,
    text: str,
    registry: CollectorRegistry,
    labels: list[str] | None = None,
    *,
    mode: Literal["max", "min", "sum"],
) -> Gauge:
    """Make a gauge of which only living workers count."""
    modes: dict[str, Literal["livemax", "livemin", "livesum"]] = {"max": "livemax", "min": "livemin", "sum": "livesum"}
    return Gauge(name, text, labels or [], registry=registry, multiprocess_mode=modes[mode])
