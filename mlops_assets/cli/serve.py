"""`mlops serve`: the model server as one process, or as a holder of several."""

import ipaddress
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import msgspec
import typer

from mlops_assets.cli.ports import CannotListen, listen
from mlops_assets.errors import MlopsError
from mlops_assets.rollout.heartbeat import remove_heartbeat
from mlops_assets.serving.options import ServerOptions
from mlops_assets.serving.process import ONE_THREAD, Place
from mlops_assets.settings import Settings, load_settings, silence_telemetry

STOP_MARGIN_SECONDS = 3.0


class Exposed(MlopsError):
    """Whoever reaches the port could see and change everything."""

    def __init__(self, host: str, missing: Sequence[str]) -> None:
        super().__init__(
            f"serving on {host}",
            found=f"an address that others reach, without {' and '.join(missing)}",
            required="API keys and an admin port, or an address of this machine alone",
            remedy="Add `--keys-file FILE --admin-port PORT`; or `--insecure`, if something else guards the port.",
        )


def serve(*, host: str = "127.0.0.1", port: int = 8080, options: ServerOptions) -> int:
    """Serve the routed version of every model until interrupted; return the exit code.

    Args:
        port: 0 takes any free port; the heartbeat and the first line of output name it.

    Raises:
        CannotListen: A port is in use, or the address is not one of this machine.
        Exposed: Others would reach it, and nothing guards it.
        NoKeys: The file of keys is missing.
        UnreadableKeys: It is none.
    """
    silence_telemetry()
    require_guarded(host, options)
    settings = load_settings()
    if options.keys_file is not None:
        from mlops_assets.serving.keys import read_keys

        keys = settings.root / options.keys_file
        read_keys(keys)
        options = msgspec.structs.replace(options, keys_file=str(keys))
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen(host, port, flag="--port"))]
        if options.admin_port is not None:
            listeners.append(stack.enter_context(listen(options.admin_host, options.admin_port, flag="--admin-port")))
            require_apart(*listeners)
        place = Place(_url(host, listeners[0]), _url(options.admin_host if listeners[1:] else host, listeners[-1]))
        typer.echo(
            f"Serving {settings.env} on {place.url} (status page: {place.admin_url}/, documentation: {place.admin_url}/docs)"
        )
        sys.stdout.flush()
        start = _alone if options.workers == 1 else _together
        return start(settings, options, place, listeners)


def leave(code: int) -> NoReturn:
    """End the process: all is closed, and tearing down the interpreter with all that a model has loaded takes seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def require_guarded(host: str, options: ServerOptions) -> None:
    """Let pass an address of this machine alone, or a server that keeps strangers out.

    Raises:
        Exposed: It is neither.
    """
    given = {"API keys": options.keys_file, "an admin port": options.admin_port}
    missing = [name for name, value in given.items() if value is None]
    if options.insecure or not missing:
        return
    for address in (host,) if options.admin_port is None else (host, options.admin_host):
        if not _is_loopback(address):
            raise Exposed(address, missing)


def require_apart(public: socket.socket, admin: socket.socket) -> None:
    """Let pass two ports of different numbers: a worker tells by the number what may be asked for, whatever the addresses.

    Raises:
        CannotListen: They have the same.
    """
    host, port = admin.getsockname()[:2]
    if port == public.getsockname()[1]:
        raise CannotListen(host, port, "the number of the public port", "--admin-port")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _alone(settings: Settings, options: ServerOptions, place: Place, listeners: Sequence[socket.socket]) -> int:
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    from mlops_assets.serving.logs import configure
    from mlops_assets.serving.process import run
    from mlops_assets.serving.worker import Worker

    configure(options)
    return run(settings, options, place, Worker(), listeners, environ=os.environ)


def _together(settings: Settings, options: ServerOptions, place: Place, listeners: Sequence[socket.socket]) -> int:
    from mlops_assets.serving.logs import configure
    from mlops_assets.serving.metrics import forget_levels
    from mlops_assets.serving.workers import Workers

    configure(options)
    shared = _empty(settings.home / "metrics" / str(os.getpid()))
    environ = {**ONE_THREAD, **os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)}

    def start(slot: int, restarts: int, tether: int) -> subprocess.Popen[bytes]:
        descriptors = [one.fileno() for one in listeners]
        told = {"options": options, "place": place, "listeners": descriptors, "tether": tether}
        told |= {"slot": slot, "restarts": restarts, "shared": str(shared)}
        command = [sys.executable, "-m", "mlops_assets.cli.worker", msgspec.json.encode(told).decode()]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environ, pass_fds=[*descriptors, tether])

    def bury(slot: int, pid: int) -> None:
        remove_heartbeat(settings.home, pid, env=settings.env)
        forget_levels(shared, slot)

    stop_seconds = options.deadline_ms / 1000 + STOP_MARGIN_SECONDS
    workers = Workers(
        options.workers,
        listeners,
        start=start,
        bury=bury,
        drain_seconds=options.drain_seconds,
        stop_seconds=stop_seconds,
    )
    try:
        return workers.run()
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _empty(folder: Path) -> Path:
    """Make a folder anew, and remove those of servers that were killed."""
    import psutil

    for left in folder.parent.glob("*"):
        if left == folder or not (left.name.isdigit() and psutil.pid_exists(int(left.name))):
            shutil.rmtree(left, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"
