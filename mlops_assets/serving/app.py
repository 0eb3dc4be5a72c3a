"""The HTTP face of the model server: what a person or a control loop asks for, behind the hot path.

Add here: routes. Keep out: scoring (`hot.py`), which version answers (`models.py`).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from fastapi import FastAPI

from mlops_assets import __version__
from mlops_assets.clock import open_glanced
from mlops_assets.lake.state import StateStore
from mlops_assets.predictions.log.segments import log_folder
from mlops_assets.serving.admin import Controls, add_admin
from mlops_assets.serving.arms import Arms
from mlops_assets.serving.auth import Auth
from mlops_assets.serving.capture import Capture
from mlops_assets.serving.fast_fail import FastFail
from mlops_assets.serving.feedback import Feedback
from mlops_assets.serving.follower import following
from mlops_assets.serving.hot import HotPath
from mlops_assets.serving.limits import InFlight, RateLimit
from mlops_assets.serving.metrics import Metrics
from mlops_assets.serving.models import LoadedModels
from mlops_assets.serving.online import open_guarded
from mlops_assets.serving.openapi import publish
from mlops_assets.serving.options import ServerOptions
from mlops_assets.serving.refusals import add_refusals
from mlops_assets.serving.reports import add_reports
from mlops_assets.serving.scorer import Scorer
from mlops_assets.serving.scoring import ArmLoader
from mlops_assets.serving.shadow import Shadow
from mlops_assets.serving.worker import Worker


def create_app(
    state: StateStore,
    home: Path,
    *,
    env: str,
    url: str,
    options: ServerOptions = ServerOptions(),  # noqa: B008  (frozen)
    online: str | None = None,
    worker: Worker | None = None,
) -> HotPath:
    """Return an ASGI callable that serves the routed version of every model in `state`.

    Args:
        home: Where this machine keeps heartbeats.
        env: Deployment whose routing this is.
        url: Where the server is reached, for the heartbeat.
        online: URL of the online store; None: looked-up features are their fallbacks.
        worker: Who this process is; by default the only one.
    """
    worker, clock = worker or Worker(), open_glanced(home)
    store = open_guarded(online, env=env, timeout_s=options.lookup_ms / 1000) if online else None
    models, metrics = LoadedModels(state, ArmLoader(store, clock)), Metrics(worker.shared)
    if store is not None:
        metrics.watch("lookups_defaulted", lambda: store.defaulted)
        metrics.watch("breaker_open", lambda: store.is_open)
    fast_fail = FastFail(state, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        hot.loop = asyncio.get_running_loop()
        arms = Arms(fast_fail, metrics)
        with (
            closing(Capture(log_folder(home, env), options, clock=clock)) as capture,
            closing(Shadow(arms, capture, hot.in_flight, options)) as shadow,
            closing(fast_fail),
        ):
            hot.scorer = Scorer(arms, capture, shadow, metrics, options, clock=clock)
            hot.feedback = Feedback(capture, options, clock=clock)
            _watch(metrics, capture, shadow, hot.in_flight)
            with following(models, metrics, worker, home=home, env=env, url=url):
                yield

    app = FastAPI(
        title="mlops_assets model server",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
    )
    auth = Auth(Path(options.keys_file) if options.keys_file else None)
    controls = Controls(state, models, auth, clock, home, env, url)
    add_refusals(app)
    add_reports(app, metrics, controls)
    add_admin(app, controls)
    publish(app, models, options)
    hot = HotPath(
        app,
        models,
        metrics,
        options,
        auth=auth,
        rate=RateLimit(options),
        in_flight=InFlight(options.max_in_flight),
    )
    return hot


def _watch(metrics: Metrics, capture: Capture, shadow: Shadow, in_flight: InFlight) -> None:
    metrics.watch("log_lines", lambda: capture.lines)
    metrics.watch("log_bytes", lambda: capture.bytes)
    metrics.watch("log_shed", lambda: capture.shed_lines)
    metrics.watch("log_failures", lambda: capture.failed_writes)
    metrics.watch("shadow_scored", lambda: shadow.scored)
    metrics.watch("shadow_dropped", lambda: shadow.dropped)
    metrics.watch("shadow_failures", lambda: shadow.failures)
    metrics.watch("shadow_waiting", lambda: shadow.waiting)
    metrics.watch("in_flight", lambda: in_flight.now)
