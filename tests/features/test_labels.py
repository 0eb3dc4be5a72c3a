"""Which rows are trained on: hand-counted, and against a loop."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from features.world import TIMEOUT_DAYS, at, definition, window
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.features.labels import LabelCounts, labelled_rows
from mlops_assets.lake.engine import connect
from mlops_assets.training.spec import SplitSpec
from mlops_assets.training.split import split

TIME = pa.timestamp("us", "UTC")


def spine(rows: list[tuple[float, float | None, float | None]]) -> pa.Table:
    """Return rows of (prediction day, label, day on which it is known)."""
    known = [None if row[2] is None else at(row[2]) for row in rows]
    return pa.table(
        {
            "order_id": pa.array(range(len(rows)), pa.int64()),
            "prediction_time": pa.array([at(row[0]) for row in rows], TIME),
            "label": pa.array([row[1] for row in rows], pa.float64()),
            "label_known_at": pa.array(known, TIME),
        }
    )


def classify(table: pa.Table, *, as_of: float, start: float | None = None, held: Any = ()) -> Any:
    with connect() as con:
        rows, counts = labelled_rows(
            con,
            table,
            definition(),
            start=None if start is None else at(start),
            end=at(as_of) - timedelta(days=TIMEOUT_DAYS),
            held=held,
        )
    return rows["order_id"].to_pylist(), counts


def test_the_name_of_a_class_is_a_label_and_nan_is_none():
    names = ["app", "1", "", None, "nan", "inf"]
    table = spine([(1, None, 2)] * len(names)).set_column(2, "label", pa.array(names))
    assert classify(table, as_of=12) == ([0, 1, 2, 5], LabelCounts(labelled=4, censored=2))


def test_every_row_counts_once_and_no_label_is_made_up():
    table = spine(
        [
            (1, 1, 2),  # labelled
            (1, 0, 4),  # labelled: known at the very moment
            (1, 0, 4.01),  # censored: known too late
            (1, None, 2),  # censored
            (1, 1, None),  # censored: a label that was never known
            (1, float("nan"), 2),  # censored: no number is no label
            (6.99, 1, 7),  # labelled: the last one in time
            (7, 1, 7),  # pending, although it is there: slow labels of that time are not
            (9, None, None),  # pending
            (4, 1, 5),  # held
            (5, None, None),  # labelled or censored: the window is over
        ]
    )

    rows, counts = classify(table, as_of=10, held=[window(4, 5)])

    assert rows == [0, 1, 6]
    assert counts == LabelCounts(labelled=3, pending=2, censored=5, held=1)


def test_rows_before_the_start_are_neither_taken_nor_counted():
    assert classify(spine([(1, 1, 2), (2, 1, 3), (2.5, None, None)]), as_of=10, start=2) == (
        [1],
        LabelCounts(labelled=1, censored=1),
    )


def test_a_column_of_a_person_may_have_any_name():
    table = spine([(1, 1, 2)]).append_column("_status", [["mine"]]).append_column("all_rows", [["mine"]])

    assert classify(table, as_of=10) == ([0], LabelCounts(labelled=1))


days = st.integers(0, 20)


@given(
    st.lists(st.tuples(days, st.sampled_from([0.0, 1.0, None]), st.none() | days), max_size=30),
    days,
    st.none() | days,
    st.lists(st.tuples(days, days), max_size=3),
)
def test_rows_and_counts_are_those_of_a_loop(rows, as_of, start, spans):
    counts = {"labelled": 0, "pending": 0, "censored": 0, "held": 0}
    expected = []
    for number, (day, label, known) in enumerate(rows):
        if start is not None and day < start:
            continue
        if any(first <= day < last for first, last in spans):
            counts["held"] += 1
        elif day + TIMEOUT_DAYS >= as_of:
            counts["pending"] += 1
        elif label is not None and known is not None and known <= day + TIMEOUT_DAYS:
            counts["labelled"] += 1
            expected.append(number)
        else:
            counts["censored"] += 1

    found = classify(spine(rows), as_of=as_of, start=start, held=[window(*span) for span in spans])

    assert found == (expected, LabelCounts(**counts))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0, 6))
def test_whoever_trains_on_one_part_knew_all_its_labels_before_the_next_part_began(seed, embargo_days):
    rng = np.random.default_rng(seed)
    asked = rng.uniform(0, 60, 3000)
    known = asked + rng.exponential(1.5, 3000)  # a seventh take longer than the timeout
    table = spine([(day, float(i % 2), late) for i, (day, late) in enumerate(zip(asked, known, strict=True))])
    with connect() as con:
        rows, counts = labelled_rows(con, table, definition(), start=None, end=at(60), held=[])
    spec = SplitSpec(validation_days=8, test_days=12, embargo_days=embargo_days)

    parts = split(rows, spec, task="binary", label_delay=timedelta(days=TIMEOUT_DAYS))

    predicted, label_known = (rows[name].to_numpy() for name in ("prediction_time", "label_known_at"))
    assert label_known[parts.train].max() <= predicted[parts.validation].min()
    assert label_known[parts.validation].max() <= predicted[parts.test].min()
    assert counts.censored == (known - asked > TIMEOUT_DAYS).sum() > 300
