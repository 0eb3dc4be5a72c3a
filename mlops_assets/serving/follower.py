"""Two threads beside the requests: one follows the routing, one says that the server lives.

They are apart because loading a large model may take longer than a heartbeat stays fresh.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.rollout.heartbeat import Heartbeat, remove_heartbeat, remove_stale_heartbeats, write_heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from mlops_assets.rollout.heartbeat import Serving
    from mlops_assets.serving.metrics import Metrics
    from mlops_assets.serving.models import LoadedModels
    from mlops_assets.serving.worker import Worker

FOLLOW_SECONDS = 0.5
BEAT_SECONDS = 0.5
log = logging.getLogger(__name__)


@contextmanager
def following(
    models: LoadedModels, metrics: Metrics, worker: Worker, *, home: Path, env: str, url: str
) -> Generator[None, None, None]:
    """Follow the routing and beat until the block ends; what is routed now is loaded before it begins."""
    stopping = threading.Event()

    def beat() -> None:
        report = models.report()
        metrics.publish(report)
        write_heartbeat(home, heartbeat(worker, report, metrics, url), env=env)

    def follow() -> None:
        loads = models.loads
        models.follow()
        if models.loads > loads:
            gc.freeze()  # else a full collection looks at all of it, and stops the requests for a tenth of a second

    remove_stale_heartbeats(home, env=env)
    if worker.restarts:
        metrics.restarted()
    said = _survive(follow)
    gc.collect()
    gc.freeze()
    threads = [
        threading.Thread(target=_repeat, args=(follow, FOLLOW_SECONDS, stopping, said), name="routing", daemon=True),
        threading.Thread(target=_repeat, args=(beat, BEAT_SECONDS, stopping), name="heartbeat", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        threads[1].join()
        remove_heartbeat(home, os.getpid(), env=env)


def heartbeat(worker: Worker, report: dict[str, Serving], metrics: Metrics, url: str) -> Heartbeat:
    """Return what a worker says of itself now."""
    return Heartbeat(
        pid=os.getpid(),
        url=url,
        written_at=time.time(),
        models=report,
        slot=worker.slot,
        workers=worker.workers,
        restarts=worker.restarts,
        started_at=worker.started_at,
        is_draining=worker.is_draining,
        recent=tuple(metrics.recent()),
        counters=metrics.watched(),
    )


def _repeat(work: Callable[[], None], seconds: float, stopping: threading.Event, said: str = "") -> None:
    while not stopping.is_set():
        said = _survive(work, said)
        stopping.wait(seconds)


def _survive(work: Callable[[], None], said: str = "") -> str:
    """Do `work`; a store or disk that fails now is tried again at the next turn.

    Args:
        said: What went wrong the last time; the log has the same once.

    Returns:
        What went wrong; empty if nothing did.
    """
    try:
        work()
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
        if trouble != said:
            traceback = not isinstance(error, MlopsError)  # one of ours says it all
            log.error("%s failed; trying again: %s", work.__name__, error, exc_info=traceback)  # noqa: TRY400
        return trouble
    if said:
        log.warning("%s works again", work.__name__)
    return ""
