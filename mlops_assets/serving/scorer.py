"""What becomes of the body of a scoring request: rows, scores of both arms, lines of the log, a reply.

Keep out: HTTP (`hot.py`), which arm answers which row (`arms.py`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from mlops_assets.serving.body import read_rows
from mlops_assets.serving.event_ids import utc_text
from mlops_assets.serving.http_problems import Failed, TooLate, TooManyRows
from mlops_assets.serving.log_lines import Asked, line_of
from mlops_assets.serving.logs import RequestLog
from mlops_assets.serving.problems import AmbiguousModel, NotLoaded, Problem, UnknownModel
from mlops_assets.serving.reply import Reply, reply_of
from mlops_assets.serving.tracing import note, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.clock import Clock
    from mlops_assets.predictions.log.line import Variant
    from mlops_assets.serving.arm import Arm
    from mlops_assets.serving.arms import Arms, Part
    from mlops_assets.serving.body import Record
    from mlops_assets.serving.capture import Capture
    from mlops_assets.serving.metrics import Metrics
    from mlops_assets.serving.models import LoadedModels, Served
    from mlops_assets.serving.options import ServerOptions
    from mlops_assets.serving.shadow import Shadow

TOO_LATE = 504


class Asking(msgspec.Struct, frozen=True):
    """A request whose body is there.

    Attributes:
        started: `time.monotonic()` when it came in.
    """

    request_id: str
    content_type: str
    started: float
    inference_id: str | None = None


class Answered(msgspec.Struct, frozen=True):
    """A reply, and what the shadow needs once it is sent."""

    reply: Reply
    parts: Sequence[Part]
    asked: Asked


class Scorer:
    """Scores the requests of one worker; made and used in its event loop."""

    def __init__(
        self,
        arms: Arms,
        capture: Capture,
        shadow: Shadow,
        metrics: Metrics,
        options: ServerOptions,
        *,
        clock: Clock,
    ) -> None:
        self.shadow, self._clock = shadow, clock
        self._arms, self._capture, self._metrics, self._options = arms, capture, metrics, options
        self._request_log = RequestLog(options)

    async def answer(self, served: Served, body: bytes, asking: Asking) -> Answered:
        """Return what is replied, once it stands in the log; what stands there is replied, however late it is by then.

        Raises:
            Problem: Nothing is replied but that.
        """
        until = asking.started + self._options.deadline_ms / 1000
        try:
            rows = self._rows(served, body, asking)
            parts = await self._arms.answer(served, rows, asking.request_id, until)
            asked = Asked(
                body, asking.content_type, utc_text(self._clock.now().timestamp()), _inference_id(asking, rows)
            )
            await self._log(served, parts, asked, time.monotonic() - asking.started)
        except Problem as problem:
            self._count(served, served.champion, problem.status, 0, asking)
            raise
        for part in parts:
            self._count(served, part.arm, part.status, len(part.rows), asking, variant=part.variant, error=part.error)
        if parts[-1].status == TOO_LATE:
            raise TooLate(self._options.deadline_ms)
        if parts[-1].scored is None:
            raise Failed(asking.request_id)
        reply = reply_of(served, parts, asking.request_id, len(rows))
        note(version=reply.version, variant=reply.variant, rows=len(rows))
        return Answered(reply, parts, asked)

    def _rows(self, served: Served, body: bytes, asking: Asking) -> list[Record]:
        rows = read_rows(body, asking.content_type, served.columns)
        if len(rows) > self._options.max_rows:
            raise TooManyRows(len(rows), self._options.max_rows)
        return rows

    async def _log(self, served: Served, parts: Sequence[Part], asked: Asked, seconds: float) -> None:
        if self._options.log != "off":
            microseconds = int(seconds * 1e6)
            lines = [line_of(served, part, asked, latency_us=microseconds) for part in parts]
            with span("log"):
                await self._capture.commit(served.model, lines)

    def _count(
        self,
        served: Served,
        arm: Arm,
        status: int,
        rows: int,
        asking: Asking,
        *,
        variant: Variant = "champion",
        error: str = "",
    ) -> None:
        seconds = time.monotonic() - asking.started
        model, version = served.model, arm.route.version
        self._metrics.count(model, version, variant, status=status, rows=rows, seconds=seconds)
        self._request_log.note(asking.request_id, model, version, variant, status=status, seconds=seconds, error=error)
        note(request_id=asking.request_id, model=model, version=version, variant=variant, rows=rows)


def _inference_id(asking: Asking, rows: Sequence[Record]) -> str | None:
    """Return the id that the caller gave the request: in the header, or in the column of its only row."""
    given = rows[0].get("inference_id") if asking.inference_id is None and len(rows) == 1 else None
    return given if isinstance(given, str) else asking.inference_id


def served_as(models: LoadedModels, name: str) -> Served:
    """Return what answers for a model; without a name for the only one.

    Raises:
        AmbiguousModel: There are several.
        UnknownModel: There is none of that name.
        NotLoaded: No version of it is loaded.
    """
    served = models.served
    if not name and len(served) == 1 and not models.failures:
        return next(iter(served.values()))
    found = served.get(name)
    if found is not None:
        return found
    report = models.report()
    if name:
        if name not in report:
            raise UnknownModel(name, report)
        raise NotLoaded(name, report[name].load_error)
    if not report:
        raise NotLoaded("MODEL", None)
    if len(report) > 1:
        raise AmbiguousModel(list(report))
    return served_as(models, next(iter(report)))
