"""The way of a request, against callers who mean harm: in process where possible, over a socket where it matters."""

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient

from mlops_assets.lake.state import LocalState
from mlops_assets.serving import auth
from mlops_assets.serving.app import create_app
from mlops_assets.serving.http import read_body
from mlops_assets.serving.keys import create_key, revoke_key
from mlops_assets.serving.options import ServerOptions
from mlops_assets.serving.problems import BodyTooLarge
from tests.serving.arms import logged, route_both

NOW = datetime(2013, 4, 1, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}
ROW = b'{"instances": [{"x": 1}]}'


@contextmanager
def serving(home: Path, state: LocalState, **options: Any) -> Iterator[TestClient]:
    app = create_app(state, home, env="dev", url="http://test", options=ServerOptions(**options))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@contextmanager
def listening(home: Path, state: LocalState, **options: Any) -> Iterator[tuple[str, int]]:
    """Serve on a real socket with the parser and the loop of production."""
    app = create_app(state, home, env="dev", url="http://test", options=ServerOptions(**options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, loop="uvloop", http="httptools", log_level="critical"))
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join()


def say(address: tuple[str, int], *parts: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back until the server closes."""
    with socket.create_connection(address, timeout=10) as client:
        for part in parts:
            client.sendall(part)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    return received


def head(*lines: str, path: str = "/invocations") -> bytes:
    fixed = [f"POST {path} HTTP/1.1", "Host: test", "Content-Type: application/json", "Connection: close"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def test_the_door_opens_only_with_a_key_and_cheap_checks_come_first(
    tmp_path: Path, state: LocalState, monkeypatch: pytest.MonkeyPatch
) -> None:
    route_both(state, share=0.0)
    path = tmp_path / "keys.json"
    token, admin = (create_key(path, scope, scope, now=NOW) for scope in ("invoke", "admin"))
    monkeypatch.setattr(auth, "LOOK_SECONDS", 0.0)
    with serving(tmp_path, state, keys_file=str(path), max_body_bytes=100) as client:

        def ask(
            key: str | None, *, method: str = "POST", path: str = "/invocations", content: bytes = ROW, **more: str
        ) -> Any:
            headers = JSON | ({"Authorization": f"Bearer {key}"} if key else {}) | more
            return client.request(method, path, content=content, headers=headers)

        stranger = [
            ask(None),
            ask("wrong"),
            ask(None, content=b" " * 1000),
            ask(None, path="/models/nobody/invocations"),
            ask(None, path="/feedback"),
            ask(None, **{"Content-Type": "text/plain"}),
        ]
        known = [ask(token), client.post("/invocations", content=ROW, headers=JSON | {"X-API-Key": token})]
        others = [ask(admin), ask(token, method="PUT"), ask(token, path="/models/nobody/invocations")]
        open_to_all = client.get("/ping")
        revoke_key(path, "invoke")
        revoked = ask(token)

    assert {one.status_code for one in stranger} == {401}
    assert {one.headers["www-authenticate"] for one in stranger} == {"Bearer"}
    assert [one.status_code for one in known] == [200, 200]
    assert [one.status_code for one in others] == [403, 405, 404]
    assert others[1].headers["allow"] == "POST"
    assert open_to_all.status_code == 200
    assert revoked.status_code == 401
    for one in (*stranger, *others, revoked):
        assert one.headers["content-type"] == "application/problem+json"
        assert all(one.json()[name] for name in ("title", "field", "found", "required", "remedy"))
        assert one.json()["status"] == one.status_code
    assert token not in "".join(one.text for one in (*stranger, *others, revoked))


def test_a_caller_that_is_too_fast_waits_and_the_others_do_not(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0)
    path = tmp_path / "keys.json"
    fast, slow = (create_key(path, name, "invoke", now=NOW) for name in ("fast", "slow"))
    with serving(tmp_path, state, keys_file=str(path), requests_per_second=0.05) as client:
        replies = [client.post("/invocations", content=ROW, headers=JSON | {"X-API-Key": fast}) for _ in range(3)]
        other = client.post("/invocations", content=ROW, headers=JSON | {"X-API-Key": slow})

    assert [one.status_code for one in replies] == [200, 429, 429]
    assert 1 <= int(replies[1].headers["retry-after"]) <= 20
    assert "by fast" in replies[1].json()["found"]
    assert other.status_code == 200


def test_more_requests_than_a_worker_takes_at_once_are_sent_away(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0)
    whole = head(f"Content-Length: {len(ROW)}") + ROW
    with listening(tmp_path, state, max_in_flight=1) as address:
        refused, end = b"", time.monotonic() + 10
        while b" 429 " not in refused and time.monotonic() < end:
            with socket.create_connection(address) as holder:  # either of the two may be first
                holder.sendall(whole[:-5])
                time.sleep(0.02)
                refused = say(address, whole)
                holder.sendall(whole[-5:])
        after, end = b"", time.monotonic() + 10
        while b" 200 " not in after and time.monotonic() < end:
            after = say(address, whole)

    assert b" 429 " in refused.splitlines()[0]
    assert b"retry-after: 1" in refused
    assert b" 200 " in after.splitlines()[0]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (ROW[:-3], 400),
        (b'{"instances": [{"x": 1}]} trailing', 400),
        (b'{"instances": [{"colour": "\xff"}]}', 400),
        (b'{"instances": [{"colour": "\\ud800"}]}', 400),
        (b'{"instances": [{"x": 1, "x": 2}]}', 200),
        (b'{"instances": [{"x": 1}], "instances": [{"x": 2}]}', 200),
        (b'{"instances": null}', 422),
        (b"[" * 100_000, 422),
        (b'{"a":' * 100_000, 422),
        (b'{"instances": ' + b"[" * 100_000, 422),
        (b'{"dataframe_split": {"columns": ["x"], "data": [[1]], "index": ' + b"[" * 100_000, 422),
        (b'{"dataframe_split": {"more": ' + b"[" * 100_000, 422),
        (b'{"instances": [{"x": ' + b"9" * 100_000 + b"}]}", 422),
        (b'{"instances": [{"' + b"k" * 100_000 + b'": 1}]}', 422),
        (b"\x1f\x8b" + b"\0" * 100, 400),
        (b"\xef\xbb\xbf" + ROW, 400),
        (ROW.decode().encode("utf-16"), 400),
    ],
)
def test_a_hostile_body_is_refused_and_the_next_one_answered(
    tmp_path: Path, state: LocalState, content: bytes, status: int
) -> None:
    route_both(state, share=0.0)
    with serving(tmp_path, state) as client:
        refused = client.post("/invocations", content=content, headers=JSON)
        labelled = client.post("/feedback", content=content, headers=JSON)
        after = client.post("/invocations", content=ROW, headers=JSON)

    assert refused.status_code == status, refused.text
    assert labelled.status_code in {400, 422}
    assert after.json()["predictions"] == [2.0]
    assert len(refused.content) < 2000, "what was sent does not come back as a whole"


def test_too_many_rows_are_refused(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0)
    with serving(tmp_path, state, max_rows=3) as client:
        statuses = [client.post("/invocations", json={"instances": [{}] * rows}).status_code for rows in (3, 4)]

    assert statuses == [200, 413]


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((head("Content-Length: 10000000"),), b"413"),
        ((head("Transfer-Encoding: chunked"), *[b"10000\r\n" + b" " * 65536 + b"\r\n"] * 40, b"0\r\n\r\n"), b"4"),
        ((head("Transfer-Encoding: chunked"), b"19\r\n" + ROW + b"\r\n0\r\n\r\n"), b"200"),
        ((head("Content-Length: 5"), ROW), b"400"),
        ((head("Content-Length: -5"), ROW), b"400"),
        ((head("Content-Length: 25", "Transfer-Encoding: chunked"), b"0\r\n\r\n"), b"400"),
        ((head("Content-Length: 25", "X-Amzn-SageMaker-Inference-Id: " + "x" * 65), ROW), b"400"),
        ((head("Content-Length: 25", *(f"X-{number}: {'y' * 100}" for number in range(1000))), ROW), b"200"),
        ((b"POST /invocations HTTP/1.1\r\nHost: test\r\n" + b"X" * 200_000 + b"\r\n\r\n",), b"4"),
        ((b"\0\1\2\3\r\n\r\n",), b"400"),
    ],
    ids=[
        "announced too large",
        "chunks too large",
        "chunked",
        "longer than announced",
        "negative length",
        "length and chunked",
        "long id",
        "many headers",
        "huge header",
        "no http",
    ],
)
def test_a_hostile_connection_harms_nobody(
    tmp_path: Path, state: LocalState, parts: tuple[bytes, ...], status: bytes
) -> None:
    route_both(state, share=0.0)
    with listening(tmp_path, state, max_body_bytes=1_000_000) as address:
        try:
            said = say(address, *parts)
        except (BrokenPipeError, ConnectionResetError):
            said = b"HTTP/1.1 400 closed"
        after = say(address, head(f"Content-Length: {len(ROW)}"), ROW)

    assert said.split()[1].startswith(status), said[:300]
    assert b" 200 " in after.splitlines()[0]


def test_a_body_that_stops_is_given_up_and_lets_others_in(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0)
    with listening(tmp_path, state, deadline_ms=400, max_in_flight=1) as address:
        with socket.create_connection(address, timeout=10) as client:
            client.sendall(head(f"Content-Length: {len(ROW)}") + ROW[:5])
            slow = client.recv(65536)
        with socket.create_connection(address) as client:
            client.sendall(head(f"Content-Length: {len(ROW)}") + ROW[:5])
        after = b""
        end = time.monotonic() + 10
        while b" 200 " not in after and time.monotonic() < end:
            after = say(address, head(f"Content-Length: {len(ROW)}"), ROW)
        lines = list(logged(tmp_path))

    assert b" 408 " in slow.splitlines()[0]
    assert b" 200 " in after.splitlines()[0]
    assert len(lines) == 1, "of the bodies that were cut off nothing is logged"


def test_callers_that_only_connect_keep_nobody_out(tmp_path: Path, state: LocalState) -> None:
    route_both(state, share=0.0)
    with listening(tmp_path, state, max_in_flight=4) as address:
        idle = [socket.create_connection(address) for _ in range(100)]
        for client in idle:
            client.sendall(b"POST /invocations HTTP/1.1\r\nHost: te")
        after = say(address, head(f"Content-Length: {len(ROW)}"), ROW)
        for client in idle:
            client.close()

    assert b" 200 " in after.splitlines()[0]


def test_an_unforeseen_error_is_a_500_with_an_id_that_stands_in_the_log(
    tmp_path: Path, state: LocalState, caplog: pytest.LogCaptureFixture
) -> None:
    route_both(state, share=0.0)
    app = create_app(state, tmp_path, env="dev", url="http://test")
    with TestClient(app, raise_server_exceptions=False) as client:
        app.scorer = None  # pyright: ignore[reportAttributeAccessIssue]
        failed = client.post("/invocations", content=ROW, headers=JSON)

    request_id = failed.headers["x-request-id"]
    assert (failed.status_code, request_id in failed.json()["remedy"]) == (500, True)
    assert "NoneType" not in failed.text
    assert f"request {request_id} failed" in caplog.text


@pytest.mark.parametrize("path", ["/invocations", "/models/churn/invocations", "/feedback", "/ping"])
def test_another_method_is_refused_with_the_one_that_is_wanted(tmp_path: Path, state: LocalState, path: str) -> None:
    route_both(state, share=0.0)
    wanted = "GET" if path == "/ping" else "POST"
    with serving(tmp_path, state) as client:
        for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"} - {wanted}:
            refused = client.request(method, path)
            assert (refused.status_code, refused.headers["allow"]) == (405, wanted)


def test_an_endless_body_is_read_no_further_than_the_limit() -> None:
    read = 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        read += 1
        assert read < 100, "it would go on for ever"
        return {"type": "http.request", "body": b" " * 1000, "more_body": True}

    async def read_it() -> bytes:
        loop = asyncio.get_running_loop()
        return await read_body(loop, receive, {b"content-length": b"10"}, most=10_000, seconds=60)

    with pytest.raises(BodyTooLarge):
        asyncio.run(read_it())

    assert read == 11


def test_requests_leave_nothing_for_the_garbage_collector(tmp_path: Path, state: LocalState) -> None:
    """Else the collector, whose threshold is high in a server, would let memory grow, or stop the requests."""
    route_both(state, share=0.5, assign_by=("customer",))
    app = create_app(state, tmp_path, env="dev", url="http://test")
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/invocations",
        "headers": [(b"content-type", b"application/json")],
    }
    statuses: list[int] = []

    async def ask(number: int) -> None:
        body = b'{"instances": [{"customer": "c%d", "half": 1, "word": "ho"}]}' % number

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])

        await app(dict(scope), receive, send)

    async def ask_many() -> int:
        rest: Any = app._rest
        async with rest.router.lifespan_context(rest):
            await asyncio.gather(*(ask(number) for number in range(40)))
            for _ in range(20):
                await ask(1)
            gc.collect()
            gc.disable()
            for _ in range(5):
                await asyncio.gather(*(ask(number) for number in range(40)))
            return gc.collect()

    try:
        left = asyncio.run(ask_many())
    finally:
        gc.enable()
    assert set(statuses) == {200}
    assert left < 50, "of 200 requests"
