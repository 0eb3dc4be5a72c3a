"""How model servers tell what they serve, and how a deployment waits until they serve it.

A heartbeat is a file of this machine, `<home>/servers/<env>/<pid>.json`, so it uses the wall clock and process ids.
Servers of other machines are not seen here; they follow the routing all the same.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from mlops_assets.decoding import decoder

FRESH_SECONDS = 15.0
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Serving:
    """What one server answers with for one model.

    Attributes:
        generation: Generation of the routing that it follows; 0 while it answers with nothing.
        version: Version that it answers with; 0 while it answers with nothing.
        load_error: Why the routed version could not be loaded; the former one goes on answering.
        failed_generation: The generation that could not be loaded.
        challenger: Version that answers or shadows beside it; 0 without one.
        rung: How the version scores (`serving.arm.Arm.rung`).
        challenger_rung: The same of the challenger.
        refused_rungs: Why a version does not use a rung above, by `<rung> of version <n>`.
    """

    generation: int = 0
    version: int = 0
    load_error: str | None = None
    failed_generation: int = 0
    challenger: int = 0
    rung: str = ""
    challenger_rung: str = ""
    refused_rungs: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Recent:
    """What one worker did with one arm in the last minute.

    Attributes:
        errors: Requests that ended with a status of 500 or above.
        latency: Requests by class of latency (`serving.live`), which add up over workers.
    """

    model: str
    version: int
    variant: str
    requests: int
    errors: int
    p50_ms: float
    p99_ms: float
    latency: dict[int, int] = field(default_factory=dict[int, int])


@dataclass(frozen=True)
class Heartbeat:
    """One worker of a server and what it serves; times are seconds since the epoch.

    Attributes:
        slot: Place among the server's workers; a worker that is started again has the place of the one before it.
        workers: How many the server should have.
        restarts: How often this place was filled again.
        recent: What it did in the last minute.
        counters: Totals and levels of log, shadow and limits, as they stand in the metrics.
    """

    pid: int
    url: str
    written_at: float
    models: dict[str, Serving] = field(default_factory=dict[str, Serving])
    schema_version: int = 1
    slot: int = 0
    workers: int = 1
    restarts: int = 0
    started_at: float = 0
    is_draining: bool = False
    recent: tuple[Recent, ...] = ()
    counters: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Applied:
    """Every live server answers with the generation, or a later one."""

    urls: tuple[str, ...]


@dataclass(frozen=True)
class NoServer:
    """No server of this environment lives on this machine."""


@dataclass(frozen=True)
class LoadFailed:
    """A server could not load the version and keeps the former one."""

    url: str
    error: str


@dataclass(frozen=True)
class TimedOut:
    """These servers had not followed in time."""

    urls: tuple[str, ...]


def write_heartbeat(home: Path, beat: Heartbeat, *, env: str) -> None:
    """Write the heartbeat of a server; a reader never sees half of it."""
    folder = _folder(home, env)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{beat.pid}.draft"
    draft.write_bytes(msgspec.json.encode(beat))
    os.replace(draft, folder / f"{beat.pid}.json")


def remove_heartbeat(home: Path, pid: int, *, env: str) -> None:
    """Say that a server stopped."""
    (_folder(home, env) / f"{pid}.json").unlink(missing_ok=True)


def remove_stale_heartbeats(home: Path, *, env: str) -> None:
    """Remove what servers left that were killed."""
    for path in _folder(home, env).glob("*.*"):
        if path.stem.isdigit() and not psutil.pid_exists(int(path.stem)):
            path.unlink(missing_ok=True)


def live_servers(home: Path, *, env: str) -> list[Heartbeat]:
    """Return the servers whose process lives and whose heartbeat is fresh, by process id."""
    beats = [_read(path) for path in sorted(_folder(home, env).glob("*.json"))]
    return [beat for beat in beats if beat is not None and _is_live(beat)]


def wait_for_generation(
    home: Path, model: str, generation: int, *, env: str, timeout_s: float
) -> Applied | NoServer | LoadFailed | TimedOut:
    """Wait until every live server answers for `model` with `generation` or later."""
    until = time.monotonic() + timeout_s
    while True:
        servers = live_servers(home, env=env)
        outcome = _judge(servers, model, generation)
        if outcome is not None:
            return outcome
        if time.monotonic() >= until:
            return TimedOut(tuple(beat.url for beat in servers if _serving(beat, model).generation < generation))
        time.sleep(POLL_SECONDS)


def _judge(servers: list[Heartbeat], model: str, generation: int) -> Applied | NoServer | LoadFailed | None:
    if not servers:
        return NoServer()
    for beat in servers:
        serving = _serving(beat, model)
        if serving.load_error is not None and serving.failed_generation >= generation:
            return LoadFailed(beat.url, serving.load_error)
    if all(_serving(beat, model).generation >= generation for beat in servers):
        return Applied(tuple(beat.url for beat in servers))
    return None


def _serving(beat: Heartbeat, model: str) -> Serving:
    return beat.models.get(model, Serving())


def _folder(home: Path, env: str) -> Path:
    return home / "servers" / env


def _read(path: Path) -> Heartbeat | None:
    try:
        return decoder(Heartbeat).decode(path.read_bytes())
    except (FileNotFoundError, msgspec.MsgspecError):  # gone meanwhile, or left by another release: not a live server
        return None


def _is_live(beat: Heartbeat) -> bool:
    try:
        running = psutil.Process(beat.pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return running and time.time() - beat.written_at < FRESH_SECONDS
