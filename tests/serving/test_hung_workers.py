"""A worker that hangs is noticed, killed and replaced, while the others answer; callers who never finish are sent away."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path

import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.heartbeat import Heartbeat
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic
from tests.serving.conftest import REQUEST, save_model
from tests.serving.fleet import BODY, HEAD, Fleet, load, serving
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]
# A call into a library that does not let go of the interpreter holds up every thread of a worker.
HANGING = REQUEST.replace(
    b"    shout = ", b"    if 'hang' in list(columns['word']):\n        ctypes.PyDLL(None).sleep(200)\n    shout = "
).replace(b"import numpy", b"import ctypes\nimport numpy")
HANG = b'{"instances": [{"x": 0.5, "word": "hang"}]}'


@pytest.fixture
def routed(tmp_path: Path) -> Path:
    """Route version 1 of a model whose function for requests may hang; return the home."""
    folder = save_model(tmp_path / "models" / "1", intercept=1, request=HANGING)
    state = LocalState(str(tmp_path / "lake" / "dev"))
    give_all_traffic(state, "churn", Route(1, "run1", str(folder)), now=datetime.now(UTC), reason="test")
    return tmp_path


def workers(fleet: Fleet, count: int) -> list[Heartbeat]:
    """Wait until so many workers answer; starting takes long on a machine that has other things to do."""
    return until(lambda: len(fleet.workers()) == count and fleet.workers(), seconds=200)


def ask_to_hang(fleet: Fleet) -> socket.socket:
    caller = socket.create_connection(("127.0.0.1", fleet.port))
    caller.sendall(HEAD % (len(HANG), b"") + HANG)
    return caller


def test_workers_that_hang_are_replaced_while_the_others_answer(routed: Path) -> None:
    with serving(routed, "--workers", "3", "--drain-seconds", "0.6", "--deadline-ms", "100000") as fleet:
        before = workers(fleet, 3)
        with load(fleet.port) as seen:
            until(lambda: all(sum(one.requests for one in beat.recent) > 50 for beat in fleet.workers()))
            os.kill(before[0].pid, signal.SIGSTOP)
            stuck = ask_to_hang(fleet)
            workers(fleet, 1)  # the heartbeats of the others are old: whoever comes now is not in their hands
            until(lambda: fleet.process.poll() is None and restarts(fleet) == 2, seconds=180)
            stuck.close()
            workers(fleet, 3)

        pids = {beat.pid for beat in fleet.workers()}
        assert before[0].pid not in pids
        assert len(pids & {beat.pid for beat in before}) == 1, "one worker was well all the time"
        assert set(seen.answers) == {200}
        assert seen.refused == 0
        assert len(seen.lost) <= 16, "only what the hung workers had in hand"
        assert (routed / "stderr.txt").read_text().count("gives no sign of life; killed") == 2
        assert fleet.stop() == 0


def test_callers_who_never_finish_their_headers_are_sent_away_and_slow_ones_are_not(routed: Path) -> None:
    with serving(routed, "--drain-seconds", "0.6", "--deadline-ms", "1000") as fleet:
        workers(fleet, 1)
        ends = {kind: begin(fleet, kind) for kind in (silent, dripping, dripping_again, only_breaks, no_body)}
        slow = begin(fleet, slowly)
        until(lambda: not any(thread.is_alive() for thread, _ in ends.values()), seconds=120)
        until(lambda: not slow[0].is_alive())

        assert {kind.__name__: said for kind, (_, said) in ends.items()} == {
            "silent": [None],
            "dripping": [None],
            "dripping_again": [200, None],
            "only_breaks": [200, None],
            "no_body": [408],
        }
        assert slow[1] == [200]
        assert fleet.ask("/invocations", {"instances": [{"x": 0.5}]})[0] == 200


def begin(
    fleet: Fleet, kind: Callable[[socket.socket, list[int | None]], None]
) -> tuple[threading.Thread, list[int | None]]:
    """Let a caller of some kind begin; return its thread and what it is told."""
    told: list[int | None] = []

    def run() -> None:
        with socket.create_connection(("127.0.0.1", fleet.port)) as caller, suppress(BrokenPipeError):
            caller.settimeout(100)
            kind(caller, told)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, told


def listen(caller: socket.socket, told: list[int | None]) -> None:
    """Take note of the status of a reply, or that the connection ended, and read it to its end."""
    reply = HTTPResponse(caller)
    try:
        reply.begin()
        reply.read()
    except ConnectionResetError:
        told.append(None)
    else:
        told.append(reply.status)


def drip(caller: socket.socket, told: list[int | None], piece: bytes) -> None:
    """Send a piece each moment until the other side has had enough."""
    caller.settimeout(0.3)
    while not told:
        caller.sendall(piece)
        with suppress(TimeoutError):
            listen(caller, told)


def silent(caller: socket.socket, told: list[int | None]) -> None:
    listen(caller, told)


def dripping(caller: socket.socket, told: list[int | None]) -> None:
    caller.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\n")
    drip(caller, told, b"A: b\r\n")


def dripping_again(caller: socket.socket, told: list[int | None]) -> None:
    caller.sendall(HEAD % (len(BODY), b"") + BODY)
    listen(caller, told)
    more: list[int | None] = []
    caller.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\n")
    drip(caller, more, b"A: b\r\n")
    told += more


def only_breaks(caller: socket.socket, told: list[int | None]) -> None:
    caller.sendall(HEAD % (len(BODY), b"") + BODY)
    listen(caller, told)
    more: list[int | None] = []
    drip(caller, more, b"\r\n")
    told += more


def no_body(caller: socket.socket, told: list[int | None]) -> None:
    caller.sendall(HEAD % (len(BODY), b"") + BODY[:5])
    listen(caller, told)


def slowly(caller: socket.socket, told: list[int | None]) -> None:
    request = HEAD % (len(BODY), b"") + BODY
    for place in range(0, len(request), 20):
        caller.sendall(request[place : place + 20])
        time.sleep(0.4)
    listen(caller, told)


def restarts(fleet: Fleet) -> int:
    """Return how often places were filled again; requests that come anew meanwhile must all be answered."""
    status, reply = fleet.ask("/invocations", {"instances": [{"x": 0.5}]})
    assert status == 200, reply
    return sum(beat.restarts for beat in fleet.workers())
