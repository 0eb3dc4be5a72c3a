"""Metrics of scores against labels, with row weights, prepared once so that a bootstrap may ask a thousand times.

Scores of a multiclass model are probabilities, one column a class; its labels are positions of columns.

Add here: a metric that training, the gate and the quality report name alike. Checked against scikit-learn by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, Any]

MetricName = Literal[
    "roc_auc", "average_precision", "log_loss", "brier", "accuracy", "f1_macro", "roc_auc_ovr", "rmse", "mae"
]
Weighted = Callable[["Vector"], float]
PROBABILITY_FLOOR = 2.0**-52


@dataclass(frozen=True)
class Metric:
    """A metric of scores.

    Attributes:
        prepare: Takes labels and scores, returns the metric as a function of row weights; NaN where it is undefined
            (a ranking metric of one class).
    """

    name: MetricName
    greater_is_better: bool
    prepare: Callable[[Vector, Vector], Weighted]

    def __call__(self, y: Vector, scores: Vector) -> float:
        """Return the metric of equally weighted rows.

        >>> import numpy as np
        >>> METRICS["roc_auc"](np.array([0, 1, 1]), np.array([0.2, 0.9, 0.1]))
        0.5
        """
        import numpy as np

        return self.prepare(y, scores)(np.ones(len(y)))


def _roc_auc(y: Vector, scores: Vector) -> Weighted:
    """Mann-Whitney form: share of (positive, negative) pairs in the right order, ties counting half."""
    import numpy as np

    positive, negative = _ranked(y, scores)
    below = np.searchsorted(scores[negative], scores[positive], side="left")
    up_to = np.searchsorted(scores[negative], scores[positive], side="right")
    has_ties = bool((below != up_to).any())

    def auc(weights: Vector) -> float:
        of_positive, negatives = weights[positive], _running(weights[negative])
        pairs = of_positive.sum() * negatives[-1]
        beaten = (negatives[below] + negatives[up_to]) / 2 if has_ties else negatives[below]
        return float(of_positive @ beaten / pairs) if pairs > 0 else math.nan

    return auc


def _roc_auc_ovr(y: Vector, scores: Vector) -> Weighted:
    """Mean of each class's area against the rest, over the classes that the weighted rows hold."""
    import numpy as np

    areas = [_roc_auc(y == place, scores[:, place]) for place in range(scores.shape[1])]

    def mean_auc(weights: Vector) -> float:
        found = [area for area in (of_class(weights) for of_class in areas) if not math.isnan(area)]
        return float(np.mean(found)) if found else math.nan

    return mean_auc


def _f1_macro(y: Vector, scores: Vector) -> Weighted:
    """Mean of each class's F1, over the classes that are a label or a prediction of the weighted rows."""
    import numpy as np

    classes = scores.shape[1]
    label, predicted = y.astype(int), scores.argmax(axis=1)
    hit = label == predicted

    def f1(weights: Vector) -> float:
        labelled, flagged = (np.bincount(of, weights, classes) for of in (label, predicted))
        hits, both = np.bincount(label[hit], weights[hit], classes), labelled + flagged
        held = both > 0
        return float(np.mean(2 * hits[held] / both[held])) if held.any() else math.nan

    return f1


def _average_precision(y: Vector, scores: Vector) -> Weighted:
    """Precision at the score of each positive row, averaged over the positive rows."""
    import numpy as np

    positive, negative = _ranked(y, scores)
    worse_positive = np.searchsorted(scores[positive], scores[positive], side="left")
    worse_negative = np.searchsorted(scores[negative], scores[positive], side="left")

    def average_precision(weights: Vector) -> float:
        of_positive = weights[positive]
        positives, negatives = _running(of_positive), _running(weights[negative])
        if positives[-1] == 0 or negatives[-1] == 0:
            return math.nan
        hits = positives[-1] - positives[worse_positive]
        flagged = hits + negatives[-1] - negatives[worse_negative]
        precision = hits / np.where(flagged > 0, flagged, 1)
        return float(of_positive @ precision / positives[-1])

    return average_precision


def _ranked(y: Vector, scores: Vector) -> tuple[Vector, Vector]:
    """Return the indices of the positive and of the negative rows, each by ascending score."""
    import numpy as np

    order = np.argsort(scores, kind="stable")
    is_positive = y[order] > 0
    return order[is_positive], order[~is_positive]


def _running(weights: Vector) -> Vector:
    import numpy as np

    return np.concatenate([[0.0], np.cumsum(weights)])


@dataclass(frozen=True)
class Mean:
    """The metrics that are a function of the mean loss of the rows.

    Attributes:
        losses: Loss of each row, from labels and scores.
        finish: Turns the mean loss into the metric, for one number or many.
    """

    losses: Callable[[Vector, Vector], Vector]
    finish: Callable[[Any], Any] = lambda mean: mean

    def __call__(self, y: Vector, scores: Vector) -> Weighted:
        losses = self.losses(y.astype(float), scores)
        return lambda weights: float(self.finish(weights @ losses / weights.sum()))


def _log_loss(y: Vector, scores: Vector) -> Vector:
    import numpy as np

    scores = np.clip(scores, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    if scores.ndim > 1:
        return -np.log(scores[np.arange(len(y)), y.astype(int)])
    return -(y * np.log(scores) + (1 - y) * np.log1p(-scores))


def _brier(y: Vector, scores: Vector) -> Vector:
    """Squared distance from the certain answer; of several classes the sum over them, between 0 and 2."""
    import numpy as np

    if scores.ndim > 1:
        certain = np.arange(scores.shape[1]) == y[:, None]
        return ((certain - scores) ** 2).sum(axis=1)
    return (y - scores) ** 2


METRICS = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", True, _roc_auc),
        Metric("average_precision", True, _average_precision),
        Metric("log_loss", False, Mean(_log_loss)),
        Metric("brier", False, Mean(_brier)),
        Metric("accuracy", True, Mean(lambda y, scores: scores.argmax(axis=1) == y)),
        Metric("f1_macro", True, _f1_macro),
        Metric("roc_auc_ovr", True, _roc_auc_ovr),
        Metric("rmse", False, Mean(lambda y, scores: (y - scores) ** 2, lambda mean: mean**0.5)),
        Metric("mae", False, Mean(lambda y, scores: abs(y - scores))),
    )
}
TASK_METRICS: dict[str, tuple[MetricName, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier"),
    "multiclass": ("log_loss", "accuracy", "f1_macro", "roc_auc_ovr", "brier"),
    "regression": ("rmse", "mae"),
}
