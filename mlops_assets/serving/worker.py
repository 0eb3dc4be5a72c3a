"""Who this process is among the workers of a server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Worker:
    """One worker.

    Attributes:
        slot: Its place; whoever stands in for a worker that died has the same.
        workers: How many places there are.
        restarts: How often this place was filled again.
        shared: Folder of the metrics that all workers add to; None: this is the only one.
        is_draining: It was told to stop.
    """

    slot: int = 0
    workers: int = 1
    restarts: int = 0
    shared: Path | None = None
    started_at: float = field(default_factory=time.time)
    is_draining: bool = False
