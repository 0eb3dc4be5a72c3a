"""A server as processes, and callers who notice everything that goes wrong."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.rollout.heartbeat import Heartbeat, live_servers
from tests.waiting import until

BODY = json.dumps({"instances": [{"x": 0.5}]}).encode()
HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
SLOW_SECONDS = 0.4


@dataclass
class Fleet:
    """One `mlops serve`."""

    home: Path
    process: subprocess.Popen[str]
    url: str
    admin_url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def workers(self) -> list[Heartbeat]:
        return sorted(live_servers(self.home, env="dev"), key=lambda beat: beat.slot)

    def wait_for_workers(self, count: int, *, generation: int = 1) -> list[Heartbeat]:
        def ready() -> bool:
            assert self.process.poll() is None
            beats = self.workers()
            return len(beats) == count and all(
                one.models["churn"].generation >= generation for one in beats if one.models
            )

        until(ready)
        return self.workers()

    def ask(
        self, path: str, body: Any = None, *, admin: bool = False, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        url = (self.admin_url if admin else self.url) + path
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def samples(self, *, admin: bool = False) -> dict[tuple[str, ...], float]:
        """Return what a scrape says: name and label values in the order of the labels' names."""
        return {
            (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
            for family in text_string_to_metric_families(self.ask("/metrics", admin=admin)[1])
            for sample in family.samples
        }

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def serving(home: Path, *options: str, **environ: str) -> Generator[Fleet]:
    """Start a server, and leave none of its processes behind."""
    command = [sys.executable, "-m", "mlops_assets.cli.app", "serve", "--port", "0", *options]
    places = {"MLOPS_HOME": str(home), "MLOPS_LAKE": str(home / "lake"), "MLOPS_ENV": "dev"}
    with (home / "stderr.txt").open("a") as errors:
        process = subprocess.Popen(
            command, env=os.environ | places | environ, cwd=home, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    said = process.stdout.readline().split()
    fleet = Fleet(home, process, said[3], said[6].rstrip("/,"))
    try:
        yield fleet
    finally:
        pids = [beat.pid for beat in fleet.workers()]
        process.kill()
        process.wait()
        process.stdout.close()
        for pid in {*pids, *(beat.pid for beat in fleet.workers())} - {process.pid}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@dataclass
class Load:
    """What callers met. A refused connection is no lost request: nothing was sent.

    Attributes:
        answers: Replies by status.
        versions: Replies by the version that they name.
        lost: Requests without a whole reply, or with one that contradicts itself.
        refused: Callers who found nobody listening any more.
        goodbyes: Replies that announced the end of a lasting connection.
    """

    answers: Counter[int] = field(default_factory=Counter[int])
    versions: Counter[int] = field(default_factory=Counter[int])
    lost: list[str] = field(default_factory=list[str])
    refused: int = 0
    goodbyes: int = 0
    is_over: bool = False

    async def caller(self, port: int, *, keeps: bool = True, is_slow: bool = False, pause: float = 0.0) -> None:
        """Ask until it is over or nobody listens; one who is slow sends the body later than the head.

        Who pauses leaves a connection idle, which a server may not close unless it has said so.
        """
        while not self.is_over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                self.refused += 1
                return
            try:
                while not self.is_over:
                    goes_on = await self._ask(reader, writer, keeps=keeps, is_slow=is_slow)
                    await asyncio.sleep(pause)
                    if not goes_on:
                        break
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(f"{type(error).__name__}: {error}")
            finally:
                writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keeps: bool, is_slow: bool
    ) -> bool:
        """Send one request, and return whether the connection may be used again."""
        writer.write(HEAD % (len(BODY), b"" if keeps else b"Connection: close\r\n"))
        if is_slow:
            await asyncio.sleep(SLOW_SECONDS)
        writer.write(BODY)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
        reply = json.loads(await reader.readexactly(int(length.partition(b":")[2])))
        status = int(head.split()[1])
        self.answers[status] += 1
        if status == 200:
            self.versions[reply["version"]] += 1
            if reply["predictions"] != [reply["version"] + 0.5]:
                self.lost.append(f"wrong: {reply}")
        else:
            self.lost.append(str(reply))
        is_last = b"\r\nconnection: close" in head
        self.goodbyes += is_last and keeps
        return not is_last


@contextmanager
def load(port: int, *, keeping: int = 12, coming: int = 3, slow: int = 1) -> Generator[Load]:
    """Let callers ask during the block, some on one connection each, some on ever new ones, some slowly."""
    seen = Load()

    async def run() -> None:
        callers = [
            *(seen.caller(port, pause=0.01 + place % 4 * 0.02) for place in range(keeping)),
            *(seen.caller(port, keeps=False, pause=0.01) for _ in range(coming)),
            *(seen.caller(port, is_slow=True) for _ in range(slow)),
        ]
        await asyncio.gather(*callers)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield seen
    finally:
        seen.is_over = True
        thread.join(60)
        assert not thread.is_alive()
