"""The way of a scoring request: a bare ASGI callable in front of the FastAPI app.

Add here: which requests take the short way, and in which order they are checked. Keep out: what a body is answered with
(`scorer.py`, `feedback.py`).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Literal

from mlops_assets.serving.body import CSV
from mlops_assets.serving.event_ids import EventIds
from mlops_assets.serving.http import content_type_of, read_body, refuse, reply
from mlops_assets.serving.http_problems import Failed, UnknownPath, WrongInferenceId, WrongMethod
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.scorer import Asking, served_as

if TYPE_CHECKING:
    import asyncio

    from mlops_assets.serving.auth import Auth
    from mlops_assets.serving.feedback import Feedback
    from mlops_assets.serving.http import App, Headers, Receive, Scope, Send
    from mlops_assets.serving.limits import InFlight, RateLimit
    from mlops_assets.serving.metrics import Metrics
    from mlops_assets.serving.models import LoadedModels
    from mlops_assets.serving.options import ServerOptions
    from mlops_assets.serving.scorer import Scorer

Kind = Literal["invocations", "feedback", "ping"]
SCORED, LABELLED = ("application/json", CSV), ("application/json",)
INFERENCE_ID = b"x-amzn-sagemaker-inference-id"
LONGEST_INFERENCE_ID = 64
log = logging.getLogger(__name__)


class _Request:
    """A request on its way.

    Attributes:
        model: As the path names it; empty for the only one.
        given: Headers of the request, by name in lower case; of several the last.
        headers: Of the reply, whatever it will be.
        is_admitted: Nothing speaks against it but what its rows may do.
    """

    __slots__ = ("given", "headers", "id", "is_admitted", "kind", "model", "receive", "scope", "send", "started")

    def __init__(self, route: tuple[Kind, str], scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.started = time.monotonic()
        self.kind, self.model = route
        self.scope, self.receive, self.send, self.id = scope, receive, send, request_id
        self.given: dict[bytes, bytes] = dict(scope["headers"])
        self.headers: Headers = [(b"x-request-id", request_id.encode())]
        self.is_admitted = False


class HotPath:
    """The server's ASGI callable: scoring, labels and health here, everything else in `rest`.

    Attributes:
        loop: The event loop that the app runs in; set while it does, as are `scorer` and `feedback`.
    """

    loop: asyncio.AbstractEventLoop
    scorer: Scorer
    feedback: Feedback

    def __init__(
        self,
        rest: App,
        models: LoadedModels,
        metrics: Metrics,
        options: ServerOptions,
        *,
        auth: Auth,
        rate: RateLimit,
        in_flight: InFlight,
    ) -> None:
        self.models, self.metrics, self.auth, self.in_flight = models, metrics, auth, in_flight
        self._rest, self._options, self._rate = rest, options, rate
        self._seconds = options.deadline_ms / 1000
        self._new_id = EventIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        found = route_of(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            return await self._rest(scope, receive, send)
        request = _Request(found, scope, receive, send, self._new_id())
        try:
            return await self._answer(request)
        except Problem as problem:
            failure = problem
        except Exception:
            log.exception("request %s failed", request.id)
            failure = Failed(request.id)
        if not request.is_admitted:
            self.metrics.reject(str(failure.status))
        return await refuse(send, failure, request.headers)

    async def _answer(self, request: _Request) -> None:
        """Check in an order that costs a stranger more than us: what is cheap to know comes first."""
        method = request.scope["method"]
        wanted = "GET" if request.kind == "ping" else "POST"
        if method != wanted:
            raise WrongMethod(method, wanted)
        if request.kind == "ping":
            return await self._ping(request)
        if request.kind == "feedback" and not self._options.takes_feedback:
            raise UnknownPath(request.scope["path"])
        key = self.auth.check(request.given, "invoke")
        self._rate.check(key.name if key else _address(request.scope))
        with self.in_flight:
            return await (self._label if request.kind == "feedback" else self._score)(request)

    async def _ping(self, request: _Request) -> None:
        report = self.models.report()
        is_well = bool(report) and all(serving.version for serving in report.values())
        await reply(request.send, {"models": report}, status=200 if is_well else 503, headers=request.headers)

    async def _score(self, request: _Request) -> None:
        content_type = content_type_of(request.given, SCORED)
        served = served_as(self.models, request.model)
        inference_id = _inference_id(request.given)
        body = await self._body(request)
        request.is_admitted = True
        asking = Asking(request.id, content_type, request.started, inference_id)
        answered = await self.scorer.answer(served, body, asking)
        await reply(request.send, answered.reply, headers=request.headers)
        self.scorer.shadow.offer(served, answered.parts, answered.asked)

    async def _label(self, request: _Request) -> None:
        content_type_of(request.given, LABELLED)
        served = served_as(self.models, request.model)
        count = await self.feedback.take(served.model, await self._body(request))
        await reply(request.send, {"accepted": count}, status=202, headers=request.headers)

    async def _body(self, request: _Request) -> bytes:
        most = self._options.max_body_bytes
        return await read_body(self.loop, request.receive, request.given, most=most, seconds=self._seconds)


def route_of(path: str) -> tuple[Kind, str] | None:
    """Return what a path is for and the model that it names, empty for the only one; None where FastAPI knows better.

    >>> route_of("/models/churn/feedback")
    ('feedback', 'churn')
    """
    match path.split("/"):
        case ["", "ping"]:
            return "ping", ""
        case ["", "invocations" | "feedback" as kind]:
            return kind, ""
        case ["", "models", name, "invocations" | "feedback" as kind] if name:
            return kind, name
        case _:
            return None


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _inference_id(given: dict[bytes, bytes]) -> str | None:
    """Return the id that a caller gave the request, as SageMaker passes it on.

    Raises:
        WrongInferenceId: It is too long, or no plain text.
    """
    value = given.get(INFERENCE_ID)
    if value is None:
        return None
    text = value.decode("latin-1")
    if not text.isascii() or not text.isprintable() or not 1 <= len(text) <= LONGEST_INFERENCE_ID:
        raise WrongInferenceId(text, LONGEST_INFERENCE_ID)
    return text
