"""Closed segments become rows of the table, each exactly once: whoever is killed at any point is followed by one who finishes.

The commit comes before the removal, and rows that the table has already are left out, so that what was taken in and not yet
removed is harmless.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.predictions.log.feedback import FEEDBACK_KEY, RECEIVED_AT, feedback_rows
from mlops_assets.predictions.log.rows import batched, own_schema, parse, to_table
from mlops_assets.predictions.log.segments import closed_segments, kind_folder, read_lines, recover, tidy
from mlops_assets.predictions.log.table import add_new, day_of, drop_days, feedback_uri, log_uri, schema_of

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

    from mlops_assets.predictions.log.rows import KindsOf, ReadRows

BATCH_BYTES = 32 * 2**20  # of segments that one commit takes in, at least one
CHUNK_LINES = 5_000  # that stand in memory as objects, which take ten times their columns
KEY = ("event_id", "row")
TIME = "prediction_time"
LOCK = ".compaction.lock"


@dataclass(frozen=True)
class Reading:
    """How the lines of one model are read.

    Attributes:
        read_rows: Reads the body of a request (`serving.body.read_rows`).
        kinds: Of the features and inputs of a version (`versions.Versions.kinds`).
        text: Columns that name somebody or something (`columns.user_columns`).
    """

    model: str
    read_rows: ReadRows
    kinds: KindsOf
    text: Collection[str] = ()


@dataclass
class Compacted:
    """What one compaction did.

    Attributes:
        segments: Taken in and removed.
        bytes: Their size.
        rows: Added to the table.
        duplicates: Rows that were there already.
        torn: Lines whose writer died; nobody was told that they were written.
        foreign: Lines that are none of the model's.
        expired: Rows past their retention, of segments and of the table.
        feedback: Labels added to the table of feedback.
        version: Of the table of predictions afterwards.
    """

    segments: int = 0
    bytes: int = 0
    rows: int = 0
    duplicates: int = 0
    torn: int = 0
    foreign: int = 0
    expired: int = 0
    feedback: int = 0
    version: int | None = None


def compact(capture: Path, lake: str, reading: Reading, *, keep_from: datetime | None = None) -> Compacted:
    """Take every closed segment of a model into its tables and remove it; close those of dead writers first.

    Args:
        capture: `<home>/capture/<env>`.
        keep_from: Rows of earlier days are left out, and removed from the tables.

    Raises:
        ColumnTypeChanged: A twin gave a column another type at the same moment; run it again.
        WriteContention: Too many concurrent writers.
    """
    done, first_day = Compacted(), day_of(keep_from) if keep_from else ""
    with locked(capture, reading.model):
        for batch in _batches(kind_folder(capture, reading.model), done):
            _take_predictions(lake, reading, batch, first_day, done)
        for batch in _batches(kind_folder(capture, reading.model, "feedback"), done):
            _take_feedback(lake, reading, batch, first_day, done)
        tidy(capture / reading.model)
    if first_day:
        done.expired += drop_days(log_uri(lake, reading.model), first_day)
        done.expired += drop_days(feedback_uri(lake, reading.model), first_day)
    return done


@contextmanager
def locked(capture: Path, model: str) -> Generator[None]:
    """Let nobody else on this machine take in or change the closed segments of a model meanwhile.

    Tables need no lock; somebody who is forgotten must not come back with lines that were read before.
    """
    folder = capture / model
    if not folder.is_dir():
        yield
        return
    with (folder / LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _batches(folder: Path, done: Compacted) -> Iterator[list[Path]]:
    """Yield the closed segments, some at a time; they are removed when the next ones are asked for."""
    recover(folder)
    batch: list[Path] = []
    size = 0
    for path in closed_segments(folder):
        batch.append(path)
        size += path.stat().st_size
        if size >= BATCH_BYTES:
            yield from _removed_after(batch, size, done)
            batch, size = [], 0
    if batch:
        yield from _removed_after(batch, size, done)


def _removed_after(batch: list[Path], size: int, done: Compacted) -> Iterator[list[Path]]:
    yield batch
    for path in batch:
        path.unlink()
    done.segments += len(batch)
    done.bytes += size


def _lines(batch: list[Path], done: Compacted) -> Iterator[bytes]:
    for path in batch:
        lines, torn = read_lines(path)
        done.torn += torn
        yield from lines


def _take_predictions(lake: str, reading: Reading, batch: list[Path], first_day: str, done: Compacted) -> None:
    uri = log_uri(lake, reading.model)
    rows = _rows(reading, _lines(batch, done), schema_of(uri), done)
    kept = _kept(rows, TIME, first_day)
    done.expired += rows.num_rows - kept.num_rows
    if kept.num_rows:
        added = add_new(uri, kept, time=TIME, key=KEY, segments=[path.name for path in batch])
        done.rows += added.rows
        done.duplicates += kept.num_rows - added.rows
        done.version = added.version


def _rows(reading: Reading, lines: Iterator[bytes], held: pa.Schema | None, done: Compacted) -> pa.Table:
    import pyarrow as pa

    parts = [own_schema(has_classes=False).empty_table()]
    for chunk in batched(lines, CHUNK_LINES):
        parsed = parse(chunk, reading.model, reading.read_rows)
        done.foreign += parsed.foreign
        parts.append(to_table(parsed, kinds=reading.kinds, text=reading.text, held=held))
        held = _with_new(held, parts[-1].schema)
    return pa.concat_tables(parts, promote_options="default")


def _with_new(held: pa.Schema | None, found: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return found if held is None else pa.schema([*held, *(one for one in found if one.name not in held.names)])


def _take_feedback(lake: str, reading: Reading, batch: list[Path], first_day: str, done: Compacted) -> None:
    rows, foreign = feedback_rows(_lines(batch, done))
    kept = _kept(rows, RECEIVED_AT, first_day)
    done.foreign += foreign
    done.expired += rows.num_rows - kept.num_rows
    if kept.num_rows:
        uri, names = feedback_uri(lake, reading.model), [path.name for path in batch]
        done.feedback += add_new(uri, kept, time=RECEIVED_AT, key=FEEDBACK_KEY, segments=names).rows


def _kept(rows: pa.Table, time: str, first_day: str) -> pa.Table:
    """Return the rows from a day on."""
    import pyarrow as pa

    days = [day_of(t) >= first_day for t in rows[time].to_pylist()] if first_day else None
    return rows if days is None else rows.filter(pa.array(days, pa.bool_()))
