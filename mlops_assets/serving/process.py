"""One worker as a process: the app, behind its front, in a server that drains.

Keep out: how many workers there are (`workers.py`), what they are told on the command line (`cli/serve.py`).
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import msgspec

from mlops_assets.serving import tracing
from mlops_assets.serving.options import ServerOptions

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from mlops_assets.serving.tether import Tether
    from mlops_assets.serving.worker import Worker
    from mlops_assets.settings import Settings

KEEP_ALIVE_SECONDS = 5
GARBAGE_THRESHOLDS = 50_000, 20, 20  # a request leaves few cycles; to look for them more often costs a tenth of it
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Place(msgspec.Struct, frozen=True):
    """Where a server answers.

    Attributes:
        url: The public port.
        admin_url: The port of everything else; the same as `url` where there is only one.
    """

    url: str
    admin_url: str

    @property
    def admin_port(self) -> int | None:
        return None if self.admin_url == self.url else int(self.admin_url.rpartition(":")[2])


def run(
    settings: Settings,
    options: ServerOptions,
    place: Place,
    worker: Worker,
    listeners: Sequence[socket.socket],
    tether: Tether | None = None,
    *,
    environ: Mapping[str, str],
) -> int:
    """Serve until told to stop; return the exit code.

    Args:
        environ: What OpenTelemetry is told.
    """
    import uvicorn

    from mlops_assets.lake.state import open_state
    from mlops_assets.serving.app import create_app
    from mlops_assets.serving.draining import DrainingServer
    from mlops_assets.serving.front import Front

    gc.set_threshold(*GARBAGE_THRESHOLDS)
    tracing.start(environ, env=settings.env, worker=worker.slot)
    state = open_state(settings.lake)
    app = create_app(
        state, settings.home, env=settings.env, url=place.url, options=options, online=settings.online, worker=worker
    )
    front = Front(tracing.traced(app), worker, admin_port=place.admin_port)
    config = uvicorn.Config(
        front,  # type: ignore[arg-type]  (a plain function that returns the coroutine: one frame less a request)
        interface="asgi3",
        lifespan="on",
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=options.requests_per_second is not None,  # nobody else asks for a caller's address
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(options.deadline_ms / 1000)),
    )
    server = DrainingServer(config, drain_seconds=options.drain_seconds, on_drain=front.drain, tether=tether)
    server.run(sockets=list(listeners))
    tracing.stop()
    return 0 if server.started else 1
