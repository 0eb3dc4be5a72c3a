"""The prediction log as a request meets it: wait until the lines are written, then reply.

Whatever arrives within one turn of the event loop is written as one group, by one call for each file.

Keep out: files (`predictions/log/writer.py`), what a line says (`predictions/log/line.py`).
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mlops_assets.clock import Clock, SystemClock
from mlops_assets.predictions.log.segments import kind_folder
from mlops_assets.predictions.log.writer import Segment, SegmentWriter, worker_name
from mlops_assets.serving.problems import LogUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlops_assets.predictions.log.segments import Kind
    from mlops_assets.serving.options import ServerOptions

log = logging.getLogger(__name__)


class _Group:
    """The lines for one file, and who waits for them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.waiters: list[asyncio.Future[None]] = []


class Capture:
    """The log of one worker; made and used in its event loop.

    Attributes:
        lines: Lines written.
        bytes: Bytes written.
        shed_lines: Lines that were not written although the request was answered (`log: shed`).
        failed_writes: Groups that could not be written, and segments that could not be closed.
        segments: Segments closed.
    """

    def __init__(self, folder: Path, options: ServerOptions, *, clock: Clock | None = None) -> None:
        """Write below `folder` (`segments.log_folder`); the folders of the hours follow `clock`."""
        self.lines = self.bytes = self.shed_lines = self.failed_writes = self.segments = 0
        self._folder, self._options, self._clock = folder, options, clock or SystemClock()
        self._worker = worker_name()
        self._loop = asyncio.get_running_loop()
        self._groups: dict[tuple[str, Kind], _Group] = {}
        self._writers: dict[tuple[str, Kind], SegmentWriter] = {}
        self._closer = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._timer: asyncio.TimerHandle | None = None
        self._is_failing = self._is_closed = False

    async def commit(self, model: str, lines: Sequence[bytes], *, kind: Kind = "capture") -> None:
        """Return when the lines are written, each with a newline behind it.

        Raises:
            LogUnavailable: They could not be written, and `options.log` is `closed`; or `close` was called.
            ValueError: A line is empty or is several.
        """
        if self._options.log == "off" or not lines:
            return
        if self._is_closed:
            raise LogUnavailable(self._folder, "a log that is closed, for the server stops")
        for line in lines:
            if not line or b"\n" in line:
                raise ValueError("a line of the log is one JSON object without a newline")
        if not self._groups:
            self._loop.call_soon(self._flush)
        group = self._groups.get((model, kind))
        if group is None:
            group = self._groups[model, kind] = _Group()
        group.lines += lines
        waiter = self._loop.create_future()
        group.waiters.append(waiter)
        await waiter

    def close(self) -> None:
        """Write what waits, close every segment, and return when that is done."""
        self._flush()
        self._is_closed = True
        if self._timer:
            self._timer.cancel()
        for writer in self._writers.values():
            writer.retire()
            self._close_retired(writer)
        self._closer.shutdown()

    def _flush(self) -> None:
        groups, self._groups = self._groups, {}
        for (model, kind), group in groups.items():
            reason = self._write(model, kind, group.lines)
            for waiter in group.waiters:
                if waiter.done():  # its request was cancelled
                    continue
                if reason:
                    waiter.set_exception(LogUnavailable(self._folder, reason))
                else:
                    waiter.set_result(None)

    def _write(self, model: str, kind: Kind, lines: list[bytes]) -> str | None:
        """Return why the requests fail, if they do."""
        writer = self._writer(model, kind)
        data = b"\n".join([*lines, b""])
        try:
            writer.append(data, self._clock.now())
        except Exception as error:  # noqa: BLE001  (whatever it is, no request may wait for ever)
            return self._fail(error, lines)
        finally:
            self._close_retired(writer)
        self.lines += len(lines)
        self.bytes += len(data)
        if self._is_failing:
            self._is_failing = False
            log.warning("the prediction log in %s is written again; %s lines were shed", self._folder, self.shed_lines)
        if self._timer is None:
            self._timer = self._loop.call_later(self._options.log_seconds, self._retire_old)
        return None

    def _fail(self, error: Exception, lines: list[bytes]) -> str | None:
        self.failed_writes += 1
        if not self._is_failing:
            self._is_failing = True
            log.error("the prediction log in %s cannot be written: %s", self._folder, error)
        if self._options.log == "shed":
            self.shed_lines += len(lines)
            return None
        return str(error)

    def _writer(self, model: str, kind: Kind) -> SegmentWriter:
        writer = self._writers.get((model, kind))
        if writer is None:
            writer = self._writers[model, kind] = SegmentWriter(
                kind_folder(self._folder, model, kind),
                self._worker,
                max_bytes=self._options.log_bytes,
                max_seconds=self._options.log_seconds,
                is_synced=self._options.log_fsync,
            )
        return writer

    def _retire_old(self) -> None:
        """Close what has reached its age although nothing more is written to it."""
        self._timer, now = None, self._clock.now()
        left = [seconds for writer in self._writers.values() if (seconds := writer.retire_old(now)) is not None]
        for writer in self._writers.values():
            self._close_retired(writer)
        self._timer = self._loop.call_later(min(left), self._retire_old) if left else None

    def _close_retired(self, writer: SegmentWriter) -> None:
        while writer.retired:
            self._closer.submit(self._close, writer.retired.pop())

    def _close(self, segment: Segment) -> None:
        try:
            segment.close()
            self.segments += 1
        except OSError:
            self.failed_writes += 1
            log.exception("%s could not be closed; it will be recovered", segment.path)
