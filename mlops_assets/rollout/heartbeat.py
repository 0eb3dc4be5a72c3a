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
    """

    generation: int = 0
    version: int = 0
    load_error: str | None = None
    failed_generation: int = 0


@dataclass(frozen=True)
class Heartbeat:
    """One server and what it serves; `written_at` is seconds since the epoch."""

    pid: int
    url: str
    written_at: float
    models: dict[str, Serving] = field(default_factory=dict[str, Serving])
    schema_version: int = 1


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
        return msgspec.json.decode(path.read_bytes(), type=Heartbeat)
    except (FileNotFoundError, msgspec.MsgspecError):  # gone meanwhile, or left by another release: not a live server
        return None


def _is_live(beat: Heartbeat) -> bool:
    try:
        running = psutil.Process(beat.pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return running and time.time() - beat.written_at < FRESH_SECONDS
