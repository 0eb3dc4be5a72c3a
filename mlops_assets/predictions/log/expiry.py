"""What is past its retention, in both tables of a log and in segments that nobody has compacted; for who asks without a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.predictions.log.compaction import locked
from mlops_assets.predictions.log.segments import KINDS, closed_segments, kind_folder, recover
from mlops_assets.predictions.log.table import day_of, drop_days, feedback_uri, log_uri, rows_before

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Past:
    """What may go.

    Attributes:
        rows: Of the tables.
        segments: Closed ones whose newest line is that old.
    """

    rows: int
    segments: int


def past(capture: Path, lake: str, model: str, first_day: str) -> Past:
    """Return what a log has of the days before one."""
    rows = sum(rows_before(uri(lake, model), first_day) for uri in (log_uri, feedback_uri))
    return Past(rows, len(_segments(capture, model, first_day)))


def drop_past(capture: Path, lake: str, model: str, first_day: str) -> Past:
    """Remove what a log has of the days before one; return what went."""
    with locked(capture, model):
        for kind in KINDS:
            recover(kind_folder(capture, model, kind))
        segments = _segments(capture, model, first_day)
        for path in segments:
            path.unlink()
    return Past(sum(drop_days(uri(lake, model), first_day) for uri in (log_uri, feedback_uri)), len(segments))


def _segments(capture: Path, model: str, first_day: str) -> list[Path]:
    found = [path for kind in KINDS for path in closed_segments(kind_folder(capture, model, kind))]
    return [path for path in found if day_of(datetime.fromtimestamp(path.stat().st_mtime, UTC)) < first_day]
