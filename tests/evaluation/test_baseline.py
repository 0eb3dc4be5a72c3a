"""The trivial rivals against brute force: row by row, only labels that were known by then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.evaluation.baseline import baseline_scores
from mlops_assets.evaluation.spec import GateSpec

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
COUNT = 150


def _table(seed, classes=0):
    """Return rows in no order whose labels become known late, some at the very moment of another row."""
    rng = np.random.default_rng(seed)
    hours = rng.permutation(rng.integers(0, 24 * 30, COUNT))
    delays = rng.integers(0, 100, COUNT)
    stores = [None if store == "c" else str(store) for store in rng.choice(["a", "b", "c"], COUNT)]
    labels = rng.integers(0, classes, COUNT).astype(float) if classes else rng.integers(0, 2, COUNT).astype(float)
    table = pa.table(
        {
            "prediction_time": [MONDAY + timedelta(hours=int(hour)) for hour in hours],
            "label_known_at": [MONDAY + timedelta(hours=int(hour)) for hour in hours + delays],
            "store": pa.array(stores, pa.string()),
        }
    )
    return table, labels, hours <= 24 * 10, hours > 24 * 20


def _expected(table, y, train, test, *, kind, by, classes, smooth):
    rows = table.to_pylist()
    outcomes = np.eye(classes)[y.astype(int)] if classes else y[:, None]
    prior = outcomes[train].mean(axis=0)
    scores = []
    for row in (row for row, is_test in zip(rows, test, strict=True) if is_test):
        now = row["prediction_time"]
        known = [
            (other["label_known_at"], other["prediction_time"], place)
            for place, other in enumerate(rows)
            if other["label_known_at"] <= now
            and all(other[column] == row[column] for column in by)
            and (
                kind == "last_value"
                or (other["prediction_time"].weekday(), other["prediction_time"].hour) == (now.weekday(), now.hour)
            )
        ]
        if kind == "last_value":
            known = sorted(known)[-1:]
        seen = np.array([outcomes[place] for *_, place in known])
        if not len(seen):
            scores.append(prior)
        elif smooth:
            scores.append((seen.sum(axis=0) + prior) / (len(seen) + 1))
        else:
            scores.append(seen.mean(axis=0))
    return np.array(scores) if classes else np.array(scores)[:, 0]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["last_value", "seasonal_naive"]),
    by=st.sampled_from([[], ["store"]]),
    task=st.sampled_from(["binary", "multiclass", "regression"]),
)
def test_it_knows_what_could_be_known(seed, kind: Any, by, task):
    classes = 3 if task == "multiclass" else 0
    table, y, train, test = _table(seed, classes)
    if task == "regression":
        y = y * 3 + np.random.default_rng(seed).normal(size=COUNT)
    found = baseline_scores(
        table, y, train=train, test=test, classes=classes, gate=GateSpec(baseline=kind, baseline_by=by)
    )
    expected = _expected(table, y, train, test, kind=kind, by=by, classes=classes, smooth=task != "regression")
    np.testing.assert_allclose(found, expected)
    assert found.shape == expected.shape


@pytest.mark.parametrize("classes", [0, 3])
def test_the_prior_is_the_share_among_train_rows(classes):
    table, y, train, test = _table(1, classes)
    found = baseline_scores(table, y, train=train, test=test, classes=classes, gate=GateSpec())
    expected = np.bincount(y[train].astype(int)) / train.sum() if classes else y[train].mean()
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape))


def test_a_label_is_used_from_the_moment_on_that_it_is_known():
    at = [MONDAY + timedelta(hours=hour) for hour in (0, 1, 10, 11, 12)]
    known = [MONDAY + timedelta(hours=hour) for hour in (11, 30, 50, 50, 50)]
    table = pa.table({"prediction_time": at, "label_known_at": known})
    y, train = np.array([7.5, 1, 0, 0, 0]), np.array([True, True, False, False, False])
    found = baseline_scores(table, y, train=train, test=~train, classes=0, gate=GateSpec(baseline="last_value"))
    assert found.tolist() == [4.25, 7.5, 7.5]  # at 10 o'clock nothing was known, so the mean of the train rows
