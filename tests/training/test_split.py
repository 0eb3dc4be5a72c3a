"""Splits by time: ordered, apart by at least the delay of the labels, and refused when a part says nothing."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.training.errors import AllCensored, SingleClassWindow, TooFewRows, WrongLabel
from mlops_assets.training.spec import SplitSpec
from mlops_assets.training.split import BOUNDS, LEAST_ROWS, split, split_at

START = datetime(2024, 1, 1, tzinfo=UTC)
NO_DELAY = timedelta(0)


def _table(hours, labels=None):
    labels = [i % 2 for i in range(len(hours))] if labels is None else labels
    times = pa.array([START + timedelta(hours=float(hour)) for hour in hours], pa.timestamp("us", "UTC"))
    return pa.table({"prediction_time": times, "label": labels})


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 1000),
    validation_days=st.floats(4, 20),
    test_days=st.floats(4, 20),
    embargo_days=st.floats(0, 4),
    delay_hours=st.floats(0, 100),
)
def test_parts_are_disjoint_ordered_and_apart(seed, validation_days, test_days, embargo_days, delay_hours):
    hours = np.random.default_rng(seed).uniform(0, 24 * 90, 4000)  # in no order
    spec = SplitSpec(validation_days=validation_days, test_days=test_days, embargo_days=embargo_days)
    parts = split(_table(hours), spec, task="binary", label_delay=timedelta(hours=delay_hours))
    gap = max(24 * embargo_days, delay_hours) - 1e-6
    assert hours[parts.train].max() + gap < hours[parts.validation].min()
    assert hours[parts.validation].max() + gap < hours[parts.test].min()
    assert hours[parts.test].max() == hours.max()
    assert np.ptp(hours[parts.test]) <= 24 * test_days
    assert np.ptp(hours[parts.validation]) <= 24 * validation_days
    assert all((np.diff(rows) > 0).all() for rows in (parts.train, parts.validation, parts.test))


def test_bounds_by_hand():
    hours = np.arange(0, 24 * 60)  # 60 days; the newest row is hour 1439
    spec = SplitSpec(validation_days=10, test_days=20, embargo_days=1)
    parts = split(_table(hours), spec, task="binary", label_delay=timedelta(days=2))
    assert (parts.test[0], parts.test[-1]) == (960, 1439)  # after 1439 - 480
    assert (parts.validation[0], parts.validation[-1]) == (672, 911)  # 48 hours before 959, then 240 hours
    assert (parts.train[0], parts.train[-1]) == (0, 623)  # 48 hours before 671
    assert parts.train_until == START + timedelta(hours=623)
    assert parts.test_after == START + timedelta(hours=959)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_with_few_rows_is_named(part):
    days = {"train": (0, 26), "validation": (27, 41), "test": (42, 70)}
    hours = np.concatenate(
        [np.linspace(low + 1, high - 1, LEAST_ROWS - (name == part)) * 24 for name, (low, high) in days.items()]
    )
    hours = np.r_[hours[hours < 42 * 24], hours[hours >= 42 * 24] + (70 * 24 - hours.max())]
    with pytest.raises(TooFewRows, match=f"{part} rows.*found {LEAST_ROWS - 1} rows; required at least {LEAST_ROWS}"):
        split(_table(hours), SplitSpec(), task="binary", label_delay=NO_DELAY)


@pytest.mark.parametrize(("part", "low", "high"), [("train", 0, 46), ("validation", 46, 61), ("test", 61, 91)])
def test_a_part_with_one_class_is_named(part, low, high):
    hours = np.arange(0, 24 * 90)
    labels = [1.0 if low * 24 <= hour < high * 24 else float(hour % 2) for hour in hours]
    with pytest.raises(SingleClassWindow, match=f"{part} rows.*found label 1 on all .* rows; required both classes"):
        split(_table(hours, labels), SplitSpec(), task="binary", label_delay=NO_DELAY)


def test_one_value_is_fine_for_a_regression():
    hours = np.arange(0, 24 * 90)
    assert len(split(_table(hours, [1.0] * len(hours)), SplitSpec(), task="regression", label_delay=NO_DELAY).test)


@pytest.mark.parametrize("count", [0, 100])
def test_all_labels_censored(count):
    table = _table(np.arange(count), pa.nulls(count, pa.float64()))
    with pytest.raises(AllCensored, match=f"found {count} rows, none of them labelled"):
        split(table, SplitSpec(), task="binary", label_delay=NO_DELAY)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([1.0, None, 0.0], "1 of 3 labels null"),
        ([0.0, 1.0, 2.0], r"values \[0.0, 1.0, 2.0\]"),
        (["late", "late", "on time"], "string"),
        ([0.0, 1.0, float("nan")], "NaN"),
    ],
)
def test_labels_that_do_not_fit(labels, found):
    with pytest.raises(WrongLabel, match=found):
        split(_table([0, 1, 2], labels), SplitSpec(), task="binary", label_delay=NO_DELAY)


@pytest.mark.parametrize("delay", [0, 2.5])
def test_a_split_is_made_again_from_its_bounds(delay):
    hours = np.random.default_rng(1).uniform(0, 24 * 100, 3000)
    table = _table(hours, (hours.astype(int) % 2).astype(float))
    first = split(table, SplitSpec(), task="binary", label_delay=timedelta(days=delay))
    again = split_at(table, *(getattr(first, name) for name in BOUNDS))
    for part in ("train", "validation", "test"):
        assert getattr(first, part).tolist() == getattr(again, part).tolist() != []
