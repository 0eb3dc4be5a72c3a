"""One of several workers of `mlops serve`, started by the holder of its listeners.

Keep out: anything that the holder decides; it comes as one JSON argument.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import msgspec

from mlops_assets.cli.serve import leave
from mlops_assets.errors import MlopsError
from mlops_assets.serving.options import ServerOptions
from mlops_assets.serving.process import Place, run
from mlops_assets.serving.tether import Tether
from mlops_assets.serving.worker import Worker
from mlops_assets.settings import load_settings, silence_telemetry


class Assignment(msgspec.Struct, frozen=True):
    """What a worker is told; sockets are file descriptors that it inherits."""

    slot: int
    restarts: int
    shared: str
    options: ServerOptions
    place: Place
    listeners: list[int]
    tether: int


def main(assignment: Assignment) -> int:
    """Serve until told to stop; return the exit code."""
    from mlops_assets.serving.logs import configure
    from mlops_assets.serving.metrics import share

    silence_telemetry()
    configure(assignment.options)
    share(assignment.slot)
    options = assignment.options
    worker = Worker(assignment.slot, options.workers, assignment.restarts, Path(assignment.shared))
    listeners = [socket.socket(fileno=descriptor) for descriptor in assignment.listeners]
    tether = Tether(socket.socket(fileno=assignment.tether))
    try:
        return run(load_settings(), options, assignment.place, worker, listeners, tether, environ=os.environ)
    except MlopsError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    leave(main(msgspec.json.decode(sys.argv[1], type=Assignment)))
