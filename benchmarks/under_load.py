"""Servers under a load generator: started, asked with wrk, their CPU counted; used by `serving.py`."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path

import psutil

SECONDS = 5
CONNECTIONS = 32
LUA = """
local bodies = {{
{bodies}
}}
for name, value in pairs({headers}) do wrk.headers[name] = value end
local at = 0
request = function()
  at = at % #bodies + 1
  return wrk.format("POST", nil, nil, bodies[at])
end
"""


@dataclass
class Server:
    """One contestant.

    Attributes:
        bodies: What it is asked.
        cpu_us: Per request, one value a round.
        p99_ms: At 32 connections.
    """

    name: str
    command: Sequence[str]
    path: str
    bodies: Sequence[str]
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    seconds: int = SECONDS
    cpu_us: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def started(server: Server, folder: Path) -> Generator[None]:
    """Run a server until the block ends; it answers when the block begins."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow starts `uvicorn` by its name
    env = {**os.environ, **server.env, "PATH": path, "PYTHONPATH": f"{Path.cwd()}:{folder}"}
    log = (folder / f"{server.name}.log").open("wb")
    process = subprocess.Popen(server.command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while not answers(server):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(
                    f"{server.name} does not answer:\n{(folder / f'{server.name}.log').read_text()[-3000:]}"
                )
            time.sleep(0.3)
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for one in tree:
                one.terminate()
            psutil.wait_procs(tree, timeout=15)
        log.close()


def answers(server: Server) -> bool:
    """Send one real request; any other answer than 200 is an error of the benchmark."""
    url = f"http://127.0.0.1:{server.port}{server.path}"
    headers = {"Content-Type": "application/json", **server.headers}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, server.bodies[0].encode(), headers), timeout=30):
            return True
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.SERVICE_UNAVAILABLE:  # not loaded yet
            return False
        raise SystemExit(f"{server.name}: {error.code} {error.read().decode()[:1000]}") from error
    except OSError:
        return False


def ask(server: Server, folder: Path) -> None:
    """Load a server after a short warm-up, and note what it cost."""
    wrk(replace(server, seconds=1), folder, server.port)
    before = cpu_seconds(server.port)
    found = wrk(server, folder, server.port)
    server.cpu_us.append((cpu_seconds(server.port) - before) / found["requests"] * 1e6)
    server.rate.append(found["rate"])
    server.p99_ms.append(found["p99_ms"])
    print(f"{server.name}: {server.cpu_us[-1]:.0f} us, {found['rate']:.0f}/s, p99 {found['p99_ms']:.1f} ms", flush=True)


def wrk(server: Server, folder: Path, port: int) -> dict[str, float]:
    """Run wrk over the bodies in turn; an answer other than 2xx ends the benchmark."""
    headers = {"Content-Type": "application/json", **server.headers}
    script = folder / f"{server.name}.lua"
    script.write_text(LUA.format(bodies=",\n".join(map(lua_string, server.bodies)), headers=lua_table(headers)))
    url = f"http://127.0.0.1:{port}{server.path}"
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{server.seconds}s",
        "--timeout",
        "20s",
        "--latency",
        "-s",
        str(script),
    ]
    text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise SystemExit(f"{server.name} failed under load:\n{text}")
    (requests,) = re.findall(r"(\d+) requests in", text)
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", text)
    ((p99, unit),) = re.findall(r"99%\s+([\d.]+)(us|ms|s)", text)
    return {
        "requests": float(requests),
        "rate": float(rate),
        "p99_ms": float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
    }


def lua_string(text: str) -> str:
    return f"[==[{text}]==]"


def lua_table(values: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"[ {lua_string(name)} ] = {lua_string(one)}" for name, one in values.items()) + "}"


def cpu_seconds(port: int) -> float:
    """Return the CPU time of the process that listens on a port and of all that it started."""
    for process in psutil.process_iter():
        try:
            if any(
                one.laddr and one.laddr.port == port and one.status == "LISTEN" for one in process.net_connections()
            ):
                tree = [process, *process.children(recursive=True)]
                return sum(sum(one.cpu_times()[:2]) for one in tree)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    raise SystemExit(f"nobody listens on {port}")
