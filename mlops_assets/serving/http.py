"""Plain ASGI: what a request says, its body, and a reply. No framework takes part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.serving.http_problems import Disconnected, TooSlow, headers_of
from mlops_assets.serving.problems import BodyTooLarge, UnsupportedContentType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.serving.problems import Problem

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON, PROBLEM = b"application/json", b"application/problem+json"
UTF8 = ("utf-8", "utf8", "us-ascii")
_encode = msgspec.json.Encoder().encode


def content_type_of(headers: Mapping[bytes, bytes], supported: tuple[str, ...]) -> str:
    """Return the content type of a body, without its parameters.

    Raises:
        UnsupportedContentType: It is none of `supported`, or not in UTF-8.
    """
    if headers.get(b"content-type") == JSON:
        return "application/json"
    given = headers.get(b"content-type", b"").decode("latin-1")
    kind, *parameters = given.lower().split(";")
    charsets = [one.partition("=")[2].strip(' "') for one in parameters if one.strip().startswith("charset=")]
    if kind.strip() not in supported or not all(one in UTF8 for one in charsets):
        raise UnsupportedContentType(given, supported)
    return kind.strip()


async def read_body(
    loop: asyncio.AbstractEventLoop, receive: Receive, headers: Mapping[bytes, bytes], *, most: int, seconds: float
) -> bytes:
    """Return the whole body, counted while it comes in, whatever its length is said to be.

    Args:
        loop: The running one: to look for it is a call of the kernel.

    Raises:
        BodyTooLarge: It is longer than `most` bytes.
        TooSlow: It is not there after `seconds`.
        Disconnected: The caller went away.
    """
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > most:
        raise BodyTooLarge(most)
    alarm = _Alarm(loop, seconds)
    try:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return _within(message.get("body", b""), most)
        return await _read_on(receive, message, most)
    except asyncio.CancelledError:
        if not alarm.has_rung:
            raise
        alarm.task.uncancel()
        raise TooSlow(seconds) from None
    finally:
        alarm.handle.cancel()


class _Alarm:
    """Cancels the present task after a time: `asyncio.timeout` for one who is in a hurry."""

    __slots__ = ("_loop", "_seconds", "handle", "has_rung", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        task = asyncio.current_task(loop)
        assert task is not None
        self.task, self.has_rung, self._loop, self._seconds = task, False, loop, seconds
        self.handle: asyncio.Handle = loop.call_soon(self._set)  # who has the body already needs no timer

    def _set(self) -> None:
        self.handle = self._loop.call_later(self._seconds, self._ring)

    def _ring(self) -> None:
        self.has_rung = True
        self.task.cancel()


async def reply(
    send: Send, value: Any, *, status: int = 200, content_type: bytes = JSON, headers: Headers | None = None
) -> None:
    """Send a reply as JSON."""
    body = _encode(value)
    start = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, problem: Problem, headers: Headers) -> None:
    """Send a refusal."""
    headers = [*headers, *headers_of(problem)]
    await reply(send, problem.to_json(), status=problem.status, content_type=PROBLEM, headers=headers)


async def _read_on(receive: Receive, message: Message, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise BodyTooLarge(most)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()
    raise Disconnected(size)


def _within(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise BodyTooLarge(most)
    return body
