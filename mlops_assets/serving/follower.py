"""Two threads beside the requests: one follows the routing, one says that the server lives.

They are apart because loading a large model may take longer than a heartbeat stays fresh.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlops_assets.rollout.heartbeat import Heartbeat, remove_heartbeat, write_heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from mlops_assets.serving.models import LoadedModels

FOLLOW_SECONDS = 0.5
BEAT_SECONDS = 0.5
log = logging.getLogger(__name__)


@contextmanager
def following(models: LoadedModels, *, home: Path, env: str, url: str) -> Generator[None, None, None]:
    """Follow the routing and beat until the block ends; what is routed now is loaded before it begins."""
    stopping = threading.Event()

    def beat() -> None:
        write_heartbeat(home, Heartbeat(os.getpid(), url, time.time(), models.report()), env=env)

    _survive(models.follow)
    threads = [
        threading.Thread(target=_repeat, args=(work, seconds, stopping), name=name, daemon=True)
        for work, seconds, name in ((models.follow, FOLLOW_SECONDS, "routing"), (beat, BEAT_SECONDS, "heartbeat"))
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        threads[1].join()
        remove_heartbeat(home, os.getpid(), env=env)


def _repeat(work: Callable[[], None], seconds: float, stopping: threading.Event) -> None:
    while not stopping.is_set():
        _survive(work)
        stopping.wait(seconds)


def _survive(work: Callable[[], None]) -> None:
    """Do `work`; a store or disk that fails now is tried again at the next turn."""
    try:
        work()
    except Exception:
        log.exception("%s failed; trying again", work.__name__)
