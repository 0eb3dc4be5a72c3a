"""Divide rows by time: train, gap, validation, gap, test. No row of a later part is ever before one of an earlier part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.training.errors import ClassNotLearned, SingleClassWindow, TooFewRows
from mlops_assets.training.labels import classes_of, labels

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.signature import Task
    from mlops_assets.training.spec import SplitSpec

    Rows = np.ndarray[Any, Any]

PARTS = ("train", "validation", "test")
BOUNDS = ("train_until", "validation_after", "validation_until", "test_after")
LEAST_ROWS = 50
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Split:
    """Row indices of each part, ascending; rows inside a gap belong to none.

    Attributes:
        train_until: Train rows are predicted at this time or before.
        validation_after: Validation rows are predicted after this time.
        validation_until: Validation rows are predicted at this time or before.
        test_after: Test rows are predicted after this time.
    """

    train: Rows
    validation: Rows
    test: Rows
    train_until: datetime
    validation_after: datetime
    validation_until: datetime
    test_after: datetime


def split(table: pa.Table, spec: SplitSpec, *, task: Task, label_delay: timedelta) -> Split:
    """Divide a training set by `prediction_time`, counted back from its newest row.

    Args:
        label_delay: How long a label may take to arrive. A gap is at least that long, so that whoever trained at the
            end of one part could have known all its labels at the start of the next.

    Raises:
        AllCensored: No row is labelled.
        TooFewRows: A part has fewer than `LEAST_ROWS` rows.
        SingleClassWindow: A part of a classifier's rows has one class only.
        ClassNotLearned: A class of a multiclass model has no train row.
    """
    import numpy as np

    classes = classes_of(table, task)
    y = labels(table, task, classes)
    times = prediction_times(table)
    gap = max(timedelta(days=spec.embargo_days), label_delay)
    end = int(times.max())
    test_from = end - _micros(timedelta(days=spec.test_days))
    validation_to = test_from - _micros(gap)
    validation_from = validation_to - _micros(timedelta(days=spec.validation_days))
    train_to = validation_from - _micros(gap)
    bounds = ((int(times.min()) - 1, train_to), (validation_from, validation_to), (test_from, end))
    train, validation, test = (np.flatnonzero((times > low) & (times <= high)) for low, high in bounds)
    for name, rows, (low, high) in zip(PARTS, (train, validation, test), bounds, strict=True):
        _require(
            name, y[rows], classes, task=task, interval=f"{_time(low):%Y-%m-%d %H:%M} to {_time(high):%Y-%m-%d %H:%M}"
        )
    return Split(train, validation, test, *map(_time, (train_to, validation_from, validation_to, test_from)))


def split_at(table: pa.Table, *bounds: datetime) -> Split:
    """Divide a training set as it was divided before.

    Args:
        bounds: Those of that split, in the order of `BOUNDS`.
    """
    import numpy as np

    times = prediction_times(table)
    train_until, validation_after, validation_until, test_after = ((one - UNIX_EPOCH) // MICROSECOND for one in bounds)
    is_validation = (times > validation_after) & (times <= validation_until)
    parts = (times <= train_until, is_validation, times > test_after)
    train, validation, test = map(np.flatnonzero, parts)
    return Split(train, validation, test, *bounds)


def prediction_times(table: pa.Table) -> Rows:
    """Return `prediction_time` in microseconds since 1970."""
    import pyarrow as pa

    return table["prediction_time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()


def in_time_order(table: pa.Table) -> pa.Table:
    """Return the rows by `prediction_time`, those of one time as they stand."""
    import numpy as np

    times = prediction_times(table)
    is_ordered = bool((times[1:] >= times[:-1]).all())
    return table if is_ordered else table.take(np.argsort(times, kind="stable"))


def newest(table: pa.Table) -> datetime:
    """Return the newest prediction time of the rows."""
    return _time(int(prediction_times(table).max()))


def _require(part: str, y: Rows, classes: tuple[str, ...], *, task: Task, interval: str) -> None:
    if len(y) < LEAST_ROWS:
        raise TooFewRows(part, rows=len(y), required=LEAST_ROWS, interval=interval)
    if part == "train" and (missing := [name for position, name in enumerate(classes) if not (y == position).any()]):
        raise ClassNotLearned(missing, interval=interval)
    if task != "regression" and y.min() == y.max():
        label = classes[int(y[0])] if classes else f"{y[0]:g}"
        required = "two classes or more" if classes else "both classes"
        raise SingleClassWindow(part, rows=len(y), label=label, required=required, interval=interval)


def _micros(duration: timedelta) -> int:
    return duration // MICROSECOND


def _time(micros: int) -> datetime:
    return UNIX_EPOCH + timedelta(microseconds=micros)
