"""The trivial model that a candidate must beat: it knows labels and no feature, and no label before its time.

A label takes part only from `label_known_at` on, so that the rival could have been run in production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.rows import texts
from mlops_assets.training.split import prediction_times

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.evaluation.spec import GateSpec

    Vector = np.ndarray[Any, Any]

HOUR_MICROS = 3_600_000_000
WEEK_HOURS = 7 * 24


def baseline_scores(table: pa.Table, y: Vector, *, train: Vector, test: Vector, classes: int, gate: GateSpec) -> Vector:
    """Return the scores of the trivial model for the test rows.

    Args:
        y: Labels of all rows of `table`; positions of classes where there are any.
        train: Mask of the rows that the candidate learned from.
        test: Mask of the rows to score.
        classes: How many classes a multiclass model has; 0 for another task.
    """
    import numpy as np

    outcomes = (np.arange(classes) == y[:, None]).astype(float) if classes else y[:, None]
    prior = outcomes[train].mean(axis=0)
    scores = np.tile(prior, (int(test.sum()), 1))
    if gate.baseline != "prior":
        is_value = not classes and not np.isin(y, (0, 1)).all()
        sums, counts = _known_by_then(table, outcomes, test, gate)
        weight = counts[:, None] + (0 if is_value else 1)  # a share leans on the prior as on one more row
        known = np.divide(sums + (0 if is_value else prior), weight, out=scores.copy(), where=weight > 0)
        scores = np.where(counts[:, None] > 0, known, scores)
    return scores if classes else scores[:, 0]


def _known_by_then(table: pa.Table, outcomes: Vector, test: Vector, gate: GateSpec) -> tuple[Vector, Vector]:
    """Return the sum and the number of the labels that each test row may look at.

    Rows are ordered by group and by when their label was known, so what a test row may see is a run of them.
    """
    import numpy as np

    times, known_at = prediction_times(table), _micros(table, "label_known_at")
    groups = _groups(table, times, gate)
    order = np.lexsort((times, known_at, groups))
    moments = np.unique(np.concatenate([known_at, times[test]]))
    key = groups[order] * len(moments) + np.searchsorted(moments, known_at[order])
    start = np.searchsorted(key, groups[test] * len(moments), side="left")
    end = np.searchsorted(key, groups[test] * len(moments) + np.searchsorted(moments, times[test]), side="right")
    if gate.baseline == "last_value":
        start = np.maximum(start, end - 1)
    running = np.concatenate([np.zeros((1, outcomes.shape[1])), np.cumsum(outcomes[order], axis=0)])
    newest = outcomes[order][np.maximum(end - 1, 0)] * (end > start)[:, None]
    return (newest if gate.baseline == "last_value" else running[end] - running[start]), end - start


def _groups(table: pa.Table, times: Vector, gate: GateSpec) -> Vector:
    """Number the rows that look at each other's labels: equal in `baseline_by`, and in the hour of the week if asked."""
    import numpy as np

    groups = np.zeros(len(times), dtype=np.int64)
    for column in gate.baseline_by:
        values = np.unique(texts(table, column), return_inverse=True)[1]
        groups = np.unique(groups * (int(values.max()) + 1) + values, return_inverse=True)[1]
    if gate.baseline == "seasonal_naive":
        groups = groups * WEEK_HOURS + times // HOUR_MICROS % WEEK_HOURS
    return groups


def _micros(table: pa.Table, column: str) -> Vector:
    import pyarrow as pa

    return table[column].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
