"""A person is forgotten where the log has not become a table yet, and in the labels of what they asked.

The tables themselves are Delta tables like any other (`registry/forgetting`); they come last, for they know the events.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.lake.engine import connect, describe_files
from mlops_assets.lake.erasure import erase_past, erase_rows, held_rows, matches
from mlops_assets.lake.files import list_folders
from mlops_assets.lake.tables import exists
from mlops_assets.lake.uris import join
from mlops_assets.predictions.log.compaction import locked
from mlops_assets.predictions.log.redaction import names_of, without_feedback, without_person
from mlops_assets.predictions.log.segments import (
    closed_segments,
    kind_folder,
    live_segments,
    open_segment,
    recover,
    sync_folder,
)
from mlops_assets.predictions.log.table import feedback_uri, log_uri
from mlops_assets.registry.forgetting.traces import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from mlops_assets.predictions.log.redaction import Events, Redacted
    from mlops_assets.predictions.log.rows import ReadRows

    Who = Mapping[str, str]
    Redact = Callable[[bytes], Redacted | None]

DRAFT = ".draft"


@dataclass(frozen=True)
class LogOnDisk:
    """The logs of all models: segments on this machine, and feedback in the lake.

    Attributes:
        capture: `<home>/capture/<env>`.
        read_rows: Reads the body of a request.
    """

    capture: Path
    lake: str
    read_rows: ReadRows

    def find(self, who: Who) -> list[Trace]:
        """Return what is theirs, place by place."""
        return [trace for model in self._models() for trace in self._find(model, who)]

    def erase(self, who: Who, *, now: datetime) -> None:
        """Take it out: labels first, which only their events lead to."""
        for model in self._models():
            with locked(self.capture, model):
                recover(self.capture / model)
                events = self._events(model, who)
                _erase_feedback(feedback_uri(self.lake, model), events, now)
                _rewrite(
                    kind_folder(self.capture, model, "feedback"), lambda line, at=events: without_feedback(line, at)
                )
                _rewrite(kind_folder(self.capture, model), lambda line, at=model: self._redact(line, at, who))

    def _models(self) -> list[str]:
        on_disk = {path.name for path in self.capture.iterdir()} if self.capture.is_dir() else set[str]()
        return sorted(on_disk | {uri.rpartition("/")[2] for uri in list_folders(join(self.lake, "prediction_log"))})

    def _redact(self, line: bytes, model: str, who: Who) -> Redacted | None:
        return without_person(line, model, who, self.read_rows)

    def _find(self, model: str, who: Who) -> Iterator[Trace]:
        events, folder = self._events(model, who), self.capture / model
        predictions = _count(kind_folder(self.capture, model), lambda line: self._redact(line, model, who))
        labels = _count(kind_folder(self.capture, model, "feedback"), lambda line: without_feedback(line, events))
        if files := predictions[1] + labels[1]:
            yield Trace("segments", str(folder), predictions[0] + labels[0], files)
        for each in _by_row(events) if exists(uri := feedback_uri(self.lake, model)) else ():
            held = held_rows(uri, each)
            if held is not None and (held.rows or held.files):
                yield Trace("feedback", f"feedback/{model}", held.rows, len(held.files))

    def _events(self, model: str, who: Who) -> Events:
        """Return the events of somebody: of the table, its past included, and of segments."""
        found = set(_logged_events(log_uri(self.lake, model), who))
        for path in _segments(kind_folder(self.capture, model)):
            for line in _lines(path):
                if redacted := self._redact(line, model, who):
                    found |= redacted.events
        return found


def _logged_events(uri: str, who: Who) -> Iterator[tuple[str, int]]:
    held = held_rows(uri, who) if exists(uri) else None
    with connect() as con:
        for file in held.files if held else ():
            describe_files(con, uri, [file])  # lets the connection read the store
            rows = f"read_parquet('{file.replace(chr(39), chr(39) * 2)}', hive_partitioning = false)"
            query = f"select event_id, inference_id, row from {rows} where {matches(who)}"
            for event_id, inference_id, row in con.execute(query).fetchall():
                yield from ((name, row) for name in names_of(event_id, inference_id))


def _erase_feedback(uri: str, events: Events, now: datetime) -> None:
    if not events or not exists(uri):
        return
    for each in _by_row(events):
        erase_rows(uri, each, keeps_facts=True)
    erase_past(uri, now=now)


def _by_row(events: Events) -> Iterator[dict[str, str | Collection[str]]]:
    for row in sorted({row for _, row in events}):
        yield {"event_id": sorted(name for name, at in events if at == row), "row": str(row)}


def _segments(folder: Path) -> list[Path]:
    """Return live segments before closed ones: what is closed meanwhile is seen twice, and never missed."""
    return [*live_segments(folder), *closed_segments(folder)]


def _lines(path: Path) -> list[bytes]:
    """Return all of a segment, a torn end too; nothing of one that was compacted meanwhile."""
    try:
        with open_segment(path) as file:
            return file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return []


def _count(folder: Path, redact: Redact) -> tuple[int, int]:
    """Return how many lines would change, and in how many files."""
    lines = [sum(redact(line) is not None for line in _lines(path)) for path in _segments(folder)]
    return sum(lines), sum(map(bool, lines))


def _rewrite(folder: Path, redact: Redact) -> None:
    for draft in folder.rglob(f"*{DRAFT}"):  # of somebody who was killed
        draft.unlink()
    for path in live_segments(folder):
        with suppress(FileNotFoundError):  # it was closed without a line
            _blank(path, redact)
    for path in closed_segments(folder):
        _replace(path, redact)


def _replace(path: Path, redact: Redact) -> None:
    """Put a closed segment without some lines in the place of the old one."""
    before = _lines(path)
    after = [_changed(line, redact) for line in before]
    if after == before:
        return
    draft = path.with_suffix(DRAFT)
    with draft.open("wb") as file:
        file.write(b"".join(after))
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    sync_folder(path.parent)


def _changed(line: bytes, redact: Redact) -> bytes:
    redacted = redact(line.rstrip(b"\n"))
    return line if redacted is None else redacted.line and redacted.line + b"\n"


def _blank(path: Path, redact: Redact) -> None:
    """Overwrite lines of a segment where they stand: its writer goes on behind them, and would not follow a new file.

    What does not fit in the place of the old line becomes blanks; then the other rows of that one request go with it.
    """
    with open_segment(path, "r+b") as file:
        at = 0
        for line in file.read().splitlines(keepends=True):
            redacted = redact(line[:-1]) if line.endswith(b"\n") else None
            if redacted is not None:
                room = len(line) - 1
                fits = redacted.line if len(redacted.line) <= room else b""
                os.pwrite(file.fileno(), fits.ljust(room), at)
            at += len(line)
        os.fsync(file.fileno())
