"""Run several services as one: started together, watched together, stopped together.

Each service hangs on a leash of its own (`leash.py`) in a session of its own, so that Ctrl-C reaches only the holder
and nothing survives it, whatever way it ends.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from mlops_assets.errors import MlopsError

STOP_SECONDS = 9.0
POLL_SECONDS = 0.2
LAST_LINES = 15
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Service:
    """One process.

    Attributes:
        port: Where it listens.
        flag: Option of the command line that changes the port.
        url: What a person opens.
        is_ready: Tells whether it answers.
    """

    name: str
    command: tuple[str, ...]
    port: int
    flag: str
    url: str
    is_ready: Callable[[], bool]


@dataclass(frozen=True)
class Running:
    """A started service: its leash, and the log of all that it prints."""

    service: Service
    leash: subprocess.Popen[bytes]
    log: Path


class ServiceStopped(MlopsError):
    """A service ended though nobody asked it to."""

    def __init__(self, running: Running) -> None:
        super().__init__(
            f"service {running.service.name}",
            found=f"exit code {running.leash.returncode}, after these last lines:\n{_tail(running.log)}\n",
            required="that it runs until interrupted",
            remedy=f"All services were stopped. The whole log is in {running.log}.",
        )


class ServiceNotReady(MlopsError):
    """A service does not answer."""

    def __init__(self, running: Running, seconds: float) -> None:
        super().__init__(
            f"service {running.service.name}",
            found=f"no answer after {seconds:.0f} s, with these last lines:\n{_tail(running.log)}\n",
            required="an answer",
            remedy=f"All services were stopped. The whole log is in {running.log}.",
        )


@contextmanager
def running(
    services: Sequence[Service], *, logs: Path, folder: Path, env: Mapping[str, str]
) -> Generator[list[Running], None, None]:
    """Start the services; when the block ends, stop them and everything that they started within 10 seconds.

    Args:
        logs: Folder of the logs; the log of the former start is kept as `NAME.previous.log`.
        folder: Working directory of the services.
        env: Their whole environment.
    """
    logs.mkdir(parents=True, exist_ok=True)
    started: list[Running] = []
    try:
        for service in services:
            log = logs / f"{service.name}.log"
            started.append(_start(service, log, folder=folder, env=env))
        yield started
    finally:
        with _deaf():
            _stop(started)


def wait_until_ready(started: Sequence[Running], *, timeout_s: float) -> None:
    """Wait until every service answers.

    Raises:
        ServiceStopped: One ended instead.
        ServiceNotReady: One did not answer in time.
    """
    until = time.monotonic() + timeout_s
    for one in started:
        while not one.service.is_ready():
            _raise_if_stopped(started)
            if time.monotonic() > until:
                raise ServiceNotReady(one, timeout_s)
            time.sleep(POLL_SECONDS)


def watch(started: Sequence[Running]) -> None:
    """Return never; raise `ServiceStopped` when a service ends."""
    while True:
        _raise_if_stopped(started)
        time.sleep(POLL_SECONDS)


@contextmanager
def interruptible() -> Generator[None, None, None]:
    """Turn SIGINT (also where a shell made us ignore it, as in a background job), SIGTERM and SIGHUP into Ctrl-C.

    Dagster gives SIGTERM whatever SIGINT has, whenever a run in this process ends: of a background job it would make
    one that `kill` does not end.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _deaf() -> Generator[None, None, None]:
    """Ignore signals for the moment: an impatient second Ctrl-C must not leave half of the services behind."""
    former = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _start(service: Service, log: Path, *, folder: Path, env: Mapping[str, str]) -> Running:
    if log.exists():
        os.replace(log, log.with_suffix(".previous.log"))
    with log.open("wb") as output:
        leash = subprocess.Popen(
            [sys.executable, "-m", "mlops_assets.cli.leash", *service.command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    return Running(service, leash, log)


def _stop(started: Sequence[Running]) -> None:
    for one in started:
        assert one.leash.stdin is not None
        one.leash.stdin.close()
    until = time.monotonic() + STOP_SECONDS
    for one in started:
        try:
            one.leash.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _kill(one.leash.pid)
            one.leash.wait()


def _kill(leash_pid: int) -> None:
    """Kill a leash that does not come to an end, and all that hangs on it."""
    leash = psutil.Process(leash_pid)
    for process in [*leash.children(recursive=True), leash]:
        process.kill()


def _raise_if_stopped(started: Sequence[Running]) -> None:
    for one in started:
        if one.leash.poll() is not None:
            raise ServiceStopped(one)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
