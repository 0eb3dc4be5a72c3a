"""The end of a prediction log, for a person who watches it."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.predictions.log.line import Line, Logged
from mlops_assets.predictions.log.segments import CLOSED, all_segments, read_lines

if TYPE_CHECKING:
    from pathlib import Path

_line = decoder(Line).decode
_logged = decoder(Logged).decode


class Entry(msgspec.Struct, frozen=True):
    """One line: when, and what was said."""

    at: str
    logged: Logged


class Tail:
    """The newest lines below a folder, then those that come.

    Attributes:
        unreadable: Whole lines that are not of this log's form.
    """

    def __init__(self, folder: Path) -> None:
        self.unreadable = 0
        self._folder = folder
        self._read: dict[Path, int] = {}  # bytes, by the name that a segment has open and closed

    def newest(self, lines: int) -> list[Entry]:
        """Return the last lines by time of request; only as many segments are read as these need."""
        found: list[Entry] = []
        for path in reversed(all_segments(self._folder)):
            if len(found) < lines or path.suffix != CLOSED:
                found += self._read_on(path, most=lines)
            else:
                with suppress(FileNotFoundError):  # it was compacted meanwhile
                    self._read[path.with_suffix("")] = path.stat().st_size
        return _by_time(found)[-lines:]

    def later(self) -> list[Entry]:
        """Return the lines that were written since the last call of either."""
        return _by_time([entry for path in all_segments(self._folder) for entry in self._read_on(path)])

    def _read_on(self, path: Path, *, most: int | None = None) -> list[Entry]:
        name = path.with_suffix("")
        kept: deque[bytes] = deque(maxlen=most)
        with suppress(FileNotFoundError):  # it was compacted meanwhile
            for line in read_lines(path, start=self._read.get(name, 0))[0]:
                self._read[name] = self._read.get(name, 0) + len(line) + 1
                kept.append(line)
        written = (line for line in kept if line.strip())  # blank where somebody was forgotten
        return [entry for line in written if (entry := self._entry(line))]

    def _entry(self, line: bytes) -> Entry | None:
        try:
            whole = _line(line)
            return Entry(whole.event_metadata.inference_time, _logged(whole.capture_data.endpoint_output.data))
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.unreadable += 1
            return None


def _by_time(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.at)
