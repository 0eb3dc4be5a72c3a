"""The files of the prediction log: where they lie, and how they are read.

`<folder>/<model>/AllTraffic/yyyy/mm/dd/hh/<minute-second-ms>-<worker>-<number>.jsonl`, one JSON object a line; `feedback` in the
place of `AllTraffic` for what came to POST /feedback. While a worker writes a segment its name ends in `.open`, and the
worker holds a lock on it.

Add here: finding, recovering and reading segments. Keep out: writing (`writer.py`), what a line says (`line.py`).
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["capture", "feedback"]
KINDS: dict[Kind, str] = {"capture": "AllTraffic", "feedback": "feedback"}
OPEN, CLOSED = ".open", ".jsonl"
BUFFER_BYTES = 2**20
EMPTY_SECONDS = 3600


def log_folder(home: Path, env: str) -> Path:
    """Return where the servers of a deployment log on this machine."""
    return home / "capture" / env


def kind_folder(folder: Path, model: str, kind: Kind = "capture") -> Path:
    """Return where the segments of one model lie, in hours."""
    return folder / model / KINDS[kind]


def closed_segments(folder: Path) -> list[Path]:
    """Return the finished segments in `folder` and below, oldest first."""
    return _find(folder, CLOSED)


def live_segments(folder: Path) -> list[Path]:
    """Return the segments that are being written, or whose writer died; `read_lines` reads their whole lines."""
    return _find(folder, OPEN)


def all_segments(folder: Path) -> list[Path]:
    """Return every segment once, oldest first; none is missed that is closed meanwhile."""
    live = live_segments(folder)
    found = {path.with_suffix(""): path for path in [*live, *closed_segments(folder)]}
    return [found[name] for name in sorted(found)]


def read_lines(path: Path, *, start: int = 0) -> tuple[Iterator[bytes], int]:
    """Return the whole lines of a segment, read as they are asked for, and how many torn ones it ends in: 0 or 1.

    A line is torn when its writer died, or is not done; it was never acknowledged.

    Args:
        start: Bytes to skip, to the beginning of a line.

    Raises:
        FileNotFoundError: It is gone under both names.
    """
    file = open_segment(path)
    size = os.fstat(file.fileno()).st_size
    is_torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
    file.seek(start)
    return _whole_lines(file), int(is_torn)


def open_segment(path: Path, mode: Literal["rb", "r+b"] = "rb") -> BinaryIO:
    """Open a segment, under its new name if it was closed since it was listed.

    Raises:
        FileNotFoundError: It is gone under both names.
    """
    try:
        return path.open(mode, buffering=BUFFER_BYTES)
    except FileNotFoundError:
        return path.with_suffix(CLOSED).open(mode, buffering=BUFFER_BYTES)


def tidy(folder: Path) -> None:
    """Remove the folders below `folder` that have been empty for an hour; one that a worker has just made stays."""
    for at in (Path(at) for at, _, _ in os.walk(folder, topdown=False)):
        with suppress(OSError):  # it is not empty, or somebody else was faster
            if at != folder and time.time() - at.stat().st_mtime > EMPTY_SECONDS:
                at.rmdir()


def recover(folder: Path) -> list[Path]:
    """Close the segments whose writer is dead, and return them; nothing is cut off, and live writers are left alone."""
    return [closed for path in live_segments(folder) if (closed := _close_orphan(path))]


def sync_folder(folder: Path) -> None:
    """Make what was created or renamed in `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _find(folder: Path, suffix: str) -> list[Path]:
    """Walk by `os.walk`, which minds no folder that is tidied away meanwhile."""
    return sorted(Path(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(suffix))


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    with file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield line[:-1]


def _close_orphan(path: Path) -> Path | None:
    closed = path.with_suffix(CLOSED)
    with suppress(FileNotFoundError, BlockingIOError):  # its writer closed it just now; it lives
        descriptor = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fsync(descriptor)
            path.rename(closed)
            sync_folder(path.parent)
        finally:
            os.close(descriptor)
        return closed
    return None
