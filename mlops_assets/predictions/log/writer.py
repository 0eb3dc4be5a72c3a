"""Writing the prediction log: a group of lines is appended to a segment whole, or nothing of it is.

Keep out: who waits for a group (`serving/capture.py`).
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import socket
import time
from itertools import count
from typing import TYPE_CHECKING

from mlops_assets.predictions.log.segments import CLOSED, OPEN, sync_folder

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

TRIES = 5
log = logging.getLogger(__name__)


def worker_name() -> str:
    """Return a name that no other process has: neither here, nor on a machine that shares the folder, nor after a restart."""
    host = "".join(sign if sign.isalnum() else "-" for sign in socket.gethostname())[:32]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


class Segment:
    """One file that this process writes, and holds the lock of.

    Raises:
        OSError: It cannot be made, or somebody else took it at once.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.opened, self.size = path, time.monotonic(), 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.abandon()
            raise

    def is_in_place(self) -> bool:
        """Tell whether the file is still where readers look for it."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def append(self, data: bytes, *, is_synced: bool) -> None:
        """Write all of `data`; where that fails, what was written of it is cut off again.

        Raises:
            OSError: Nothing of it is in the file; or cutting failed as well, and the file must not be written any more.
        """
        start = os.fstat(self._descriptor).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if is_synced:
                os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, start)
            raise
        self.size = start + len(data)

    def has_torn_end(self) -> bool:
        """Tell whether a group could be neither written nor undone."""
        return os.fstat(self._descriptor).st_size != self.size

    def close(self) -> None:
        """Give the file its final name; one without a line goes. The lock is held until then, so nobody recovers it meanwhile.

        Raises:
            OSError: It keeps the name of an open one; `segments.recover` will close it.
        """
        try:
            if self.size:
                os.fsync(self._descriptor)
                self.path.rename(self.path.with_suffix(CLOSED))
                sync_folder(self.path.parent)
            else:
                self.path.unlink(missing_ok=True)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the file as it is."""
        os.close(self._descriptor)


class SegmentWriter:
    """Appends to one segment after the other in one folder (`segments.kind_folder`).

    Attributes:
        segment: The one that is written now.
        retired: Those that are done; whoever takes them out closes them, for that waits for the disk.
    """

    def __init__(self, folder: Path, worker: str, *, max_bytes: int, max_seconds: float, is_synced: bool) -> None:
        self.segment: Segment | None = None
        self.retired: list[Segment] = []
        self._folder, self._worker, self._numbers = folder, worker, count()
        self._hour = (0, 0, 0, 0)
        self._max_bytes, self._max_seconds, self._is_synced = max_bytes, max_seconds, is_synced

    def append(self, data: bytes, now: datetime) -> None:
        """Write whole lines.

        Raises:
            OSError: None of them is in the log.
        """
        segment = self._ready(now)
        try:
            if not segment.size:
                self._sync(segment.path.parent)
            segment.append(data, is_synced=self._is_synced)
        except OSError:
            if segment.has_torn_end():
                self._leave(segment)
            raise
        if segment.size >= self._max_bytes:
            self.retire()

    def retire(self) -> None:
        """Write no more to the present segment."""
        if self.segment:
            self.retired.append(self.segment)
            self.segment = None

    def retire_old(self, now: datetime) -> float | None:
        """Retire the segment if it has reached its age or its hour is over, else return the seconds left to its age."""
        if self.segment is None:
            return None
        left = self.segment.opened + self._max_seconds - time.monotonic()
        if left > 0 and self._hour == _hour(now):
            return left
        self.retire()
        return None

    def _ready(self, now: datetime) -> Segment:
        self.retire_old(now)
        if self.segment and not self.segment.is_in_place():
            log.warning("%s was removed or moved while it was written; a new segment begins", self.segment.path)
            self._leave(self.segment)
        self.segment = self.segment or self._open(now)
        return self.segment

    def _leave(self, segment: Segment) -> None:
        segment.abandon()
        self.segment = None

    def _open(self, now: datetime) -> Segment:
        folder = self._folder / f"{now:%Y/%m/%d/%H}"
        for left in reversed(range(TRIES)):
            name = f"{now:%M-%S}-{now.microsecond // 1000:03}-{self._worker}-{next(self._numbers):06}{OPEN}"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                segment = Segment(folder / name)
            except (FileNotFoundError, BlockingIOError):  # the folder was tidied away, or the file recovered, at once
                if not left:
                    raise
                continue
            if segment.is_in_place():
                self._hour = _hour(now)
                return segment
            segment.abandon()
        raise BlockingIOError(folder)

    def _sync(self, folder: Path) -> None:
        """Make a new file and its folders survive a loss of power."""
        if self._is_synced:
            for each in (folder, *list(folder.parents)[:5]):  # hour, day, month, year, kind, model
                sync_folder(each)


def _hour(now: datetime) -> tuple[int, int, int, int]:
    return now.hour, now.day, now.month, now.year
