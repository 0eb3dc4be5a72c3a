"""OpenTelemetry traces of scoring requests: one span each, with its lookup, its scores and its log inside.

Off, and then free, unless OTEL_EXPORTER_OTLP_ENDPOINT says where they go; the SDK's other variables hold as well.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

    from mlops_assets.serving.http import App, Message, Receive, Scope, Send

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TRACED = ("/invocations", "/feedback")
NAME = "mlops_assets"
FAILED = 500
Value = str | int | float | bool
P = ParamSpec("P")
T = TypeVar("T")
_OFF: AbstractContextManager[None] = nullcontext()
_provider: TracerProvider | None = None
_tracer: Tracer | None = None


class NoTracing(MlopsError):
    """Traces are asked for, and the SDK is not installed."""

    def __init__(self, variable: str) -> None:
        super().__init__(
            "tracing",
            found=f"{variable} without the OpenTelemetry SDK",
            required="the extra `opentelemetry`",
            remedy="Install mlops-assets[opentelemetry], or unset the variable.",
        )


def start(environ: Mapping[str, str], *, env: str, worker: int = 0) -> None:
    """Begin to trace in this process, if `environ` says where to.

    Raises:
        NoTracing: The extra is not installed.
    """
    global _provider, _tracer  # noqa: PLW0603  (one process traces to one place)
    variable = next((name for name in ENDPOINTS if environ.get(name)), None)
    if variable is None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise NoTracing(variable) from error
    facts = {"deployment.environment.name": env, "service.instance.id": str(worker)}
    name = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": "mlops-serve"}
    _provider = TracerProvider(resource=Resource.create({**facts, **name}))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer(NAME)


def stop() -> None:
    """Send what is left, and end."""
    global _provider, _tracer  # noqa: PLW0603  (see start)
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def span(name: str) -> AbstractContextManager[Any]:
    """Return a part of the current request's span: `lookup`, `score` or `log`."""
    return _OFF if _tracer is None else _tracer.start_as_current_span(name)


def note(**facts: Value) -> None:
    """Add facts to the current span, as `mlops.NAME`."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().set_attributes({f"mlops.{name}": value for name, value in facts.items()})


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """Return work for another thread that belongs to the same request."""
    return work if _tracer is None else partial(copy_context().run, work)


def traced(app: App) -> App:
    """Return the app with a span around each scoring request, or the app itself where nothing is traced."""
    return app if _tracer is None else partial(_with_span, app, _tracer)


async def _with_span(app: App, tracer: Tracer, scope: Scope, receive: Receive, send: Send) -> None:
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    if scope["type"] != "http" or not scope["path"].endswith(TRACED):
        return await app(scope, receive, send)
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    facts = {"http.request.method": scope["method"], "url.path": scope["path"]}
    name = f"{scope['method']} {scope['path'].rpartition('/')[2]}"
    with tracer.start_as_current_span(
        name, context=extract(carrier), kind=SpanKind.SERVER, attributes=facts
    ) as current:
        return await app(scope, receive, partial(_send, current, send))


async def _send(current: Span, send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        from opentelemetry.trace import StatusCode

        current.set_attribute("http.response.status_code", message["status"])
        if message["status"] >= FAILED:
            current.set_status(StatusCode.ERROR)
    await send(message)
