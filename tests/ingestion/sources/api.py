"""An HTTP API on this machine that serves rows in pages, asks for credentials, and fails when told to."""

import json
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PAGE = 2


@dataclass
class Asked:
    """One request that reached the API."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float


@dataclass
class Api:
    """What the API has, and how it behaves."""

    url: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    allowed: Callable[[Asked], bool] = lambda asked: True
    selects: Callable[[dict[str, Any], dict[str, str]], bool] = lambda row, query: True
    faults: list[tuple[int, dict[str, str]] | str | None] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    token_seconds: int = 3600

    @property
    def data(self) -> list[Asked]:
        return [one for one in self.asked if one.path != "/token"]


def basic(asked: Asked) -> str:
    kind, _, value = asked.headers.get("authorization", "").partition(" ")
    return b64decode(value).decode() if kind == "Basic" else ""


class Handler(BaseHTTPRequestHandler):
    """Answers for the `api` of its server."""

    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> Api:
        return self.server.api

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.api.asked.append(Asked("/token", form, {}, time.monotonic()))
        if (form.get("client_id"), form.get("client_secret")) != ("me", "s3cret-of-client"):
            return self.answer(401, {"error": "invalid_client"})
        self.api.tokens.append(f"token-{len(self.api.tokens)}")
        return self.answer(200, {"access_token": self.api.tokens[-1], "expires_in": self.api.token_seconds})

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers, time.monotonic())
        self.api.asked.append(asked)
        if not self.api.allowed(asked):
            return self.answer(401, {"error": "who are you?"})
        fault = self.api.faults.pop(0) if self.api.faults else None
        if fault == "cut":
            return self.cut()
        if isinstance(fault, tuple):
            return self.answer(fault[0], {"error": "later"}, fault[1])
        chosen = [row for row in self.api.rows if self.api.selects(row, asked.query)]
        kind = PAGES.get(parts.path.rsplit("/", 1)[1])
        if kind is None:
            return self.answer(404, {"error": "no such path"})
        return self.answer(200, *kind(chosen, asked.query, f"{self.api.url}{parts.path}"))

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"items": [{"order_id": 1,')
        self.close_connection = True


@contextmanager
def serving() -> Iterator[Api]:
    """Serve on a free port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.api = Api(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Rows = list[dict[str, Any]]


def _all(rows: Rows, query: dict[str, str], url: str) -> tuple[Any, ...]:
    return (rows,)


def _pages(rows: Rows, query: dict[str, str], url: str) -> tuple[Any, ...]:
    page = int(query.get("page", 1))
    if page < 1:
        return ({"items": []},)
    return ({"items": rows[(page - 1) * PAGE : page * PAGE], "meta": {"total_pages": -(-len(rows) // PAGE)}},)


def _bare_pages(rows: Rows, query: dict[str, str], url: str) -> tuple[Any, ...]:
    page = int(query.get("page", 1))
    return (rows[(page - 1) * PAGE : page * PAGE],)


def _offset(rows: Rows, query: dict[str, str], url: str) -> tuple[Any, ...]:
    offset, limit = int(query.get("offset", 0)), int(query.get("limit", PAGE))
    return ({"items": rows[offset : offset + limit], "total": len(rows)},)


def _cursor(rows: Rows, query: dict[str, str], url: str) -> tuple[Any, ...]:
    start = int(query.get("after", 0))
    end = start + PAGE
    return ({"items": rows[start:end], "next_cursor": str(end) if end < len(rows) else None},)


def _after(url: str, query: dict[str, str]) -> str:
    offset = int(query.get("offset", 0)) + PAGE
    kept = "".join(f"&{name}={value}" for name, value in query.items() if name != "offset")
    return f"{url}?offset={offset}{kept}"


def _link(rows: Rows, query: dict[str, str], url: str) -> tuple[Any, ...]:
    offset = int(query.get("offset", 0))
    more = offset + PAGE < len(rows)
    return ({"items": rows[offset : offset + PAGE], "next": _after(url, query) if more else None},)


def _header(rows: Rows, query: dict[str, str], url: str) -> tuple[Any, ...]:
    offset = int(query.get("offset", 0))
    more = offset + PAGE < len(rows)
    return rows[offset : offset + PAGE], {"Link": f'<{_after(url, query)}>; rel="next"'} if more else {}


PAGES = {
    "all": _all,
    "pages": _pages,
    "bare_pages": _bare_pages,
    "offset": _offset,
    "cursor": _cursor,
    "link": _link,
    "header": _header,
}
