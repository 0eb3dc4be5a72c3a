"""Metrics of many resamples of blocks at once: counts per block first, then matrix products instead of rows.

A resample draws block b `weights[b]` times. What it needs of a block are sums: of losses (exact), of hits (exact), or
histograms of the scores of positive and of negative rows over shared bins. Rows of one bin count as tied; up to `BINS`
distinct scores each have their own, so nothing is lost. Beyond, all rows together still get their exact metric.

Add here: the block form of a metric of `metrics.py`, which the tests compare with its plain form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlops_assets.stats.metrics import Mean

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.stats.metrics import Metric

    Vector = np.ndarray[Any, Any]
    Matrix = np.ndarray[Any, Any]

# From weights, one row a resample and one column a block, to a value a resample; NaN where it is undefined.
BlockForm = Callable[["Matrix"], "Vector"]

BINS = 4096
DENSE_CELLS = 2**24  # larger histograms are mostly zeros


def block_form(metric: Metric, y: Vector, scores: Vector, codes: Vector, blocks: int) -> BlockForm:
    """Return a metric as a function of the weights of blocks.

    Args:
        codes: Number of each row's block, below `blocks`.

    Example:
        >>> import numpy as np
        >>> from mlops_assets.stats.metrics import METRICS
        >>> y, scores, codes = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.8, 0.2]), np.array([0, 0, 1, 1])
        >>> block_form(METRICS["roc_auc"], y, scores, codes, 2)(np.array([[1.0, 1.0], [2.0, 0.0]]))
        array([0.75, 1.  ])
    """
    import numpy as np

    prepare = metric.prepare
    if isinstance(prepare, Mean):
        return _mean(prepare, prepare.losses(y.astype(float), scores), codes, blocks)
    form = FORMS[metric.name](y, scores, codes, blocks)
    lost = metric(y, scores) - form(np.ones((1, blocks)))  # what the bins cost; nearly the same in every resample
    return lambda weights: form(weights) + lost


def counts_by_block(codes: Vector, kinds: Vector, blocks: int, width: int) -> Any:
    """Return how many rows of each kind each block has, one row a block; sparse where most are none."""
    import numpy as np

    cells, found = np.unique(codes.astype(np.int64) * width + kinds, return_counts=True)
    if blocks * width > DENSE_CELLS:
        from scipy.sparse import csr_array

        return csr_array((found.astype(float), (cells // width, cells % width)), shape=(blocks, width))
    counts = np.zeros(blocks * width)
    counts[cells] = found
    return counts.reshape(blocks, width)


def divided(numerator: Any, denominator: Any) -> Vector:
    """Return the quotients; NaN where there is nothing to divide by."""
    import numpy as np

    numerator, denominator = np.asarray(numerator, float), np.asarray(denominator, float)
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)


def _mean(mean: Mean, losses: Vector, codes: Vector, blocks: int) -> BlockForm:
    import numpy as np

    sums, rows = np.bincount(codes, losses, blocks), np.bincount(codes, minlength=blocks)
    return lambda weights: mean.finish(divided(weights @ sums, weights @ rows))


def _roc_auc(y: Vector, scores: Vector, codes: Vector, blocks: int) -> BlockForm:
    """Mann-Whitney form over bins: a positive row beats the negative rows of lower bins, and half of its own bin's."""
    import numpy as np

    positive, negative = _histograms(y, scores, codes, blocks)
    if isinstance(negative, np.ndarray) and blocks <= negative.shape[1]:
        return _auc_of_pairs(positive, negative)

    def auc(weights: Matrix) -> Vector:
        positives, negatives = weights @ positive, weights @ negative
        beaten = np.cumsum(negatives, axis=1) - negatives / 2
        return divided(np.vecdot(positives, beaten), positives.sum(axis=1) * negatives.sum(axis=1))

    return auc


def _auc_of_pairs(positive: Matrix, negative: Matrix) -> BlockForm:
    """Count once how many pairs of rows each pair of blocks has in the right order; few blocks have few pairs."""
    import numpy as np

    pairs = positive @ (np.cumsum(negative, axis=1) - negative / 2).T
    positives, negatives = positive.sum(axis=1), negative.sum(axis=1)
    return lambda weights: divided(np.vecdot(weights @ pairs, weights), (weights @ positives) * (weights @ negatives))


def _average_precision(y: Vector, scores: Vector, codes: Vector, blocks: int) -> BlockForm:
    """Precision from each bin upwards, averaged over the positive rows."""
    import numpy as np

    positive, negative = _histograms(y, scores, codes, blocks)

    def average_precision(weights: Matrix) -> Vector:
        positives, negatives = (weights @ positive)[:, ::-1], (weights @ negative)[:, ::-1]
        hits, alarms = np.cumsum(positives, axis=1), np.cumsum(negatives, axis=1)
        precision = hits / np.maximum(hits + alarms, 1)
        return divided(np.vecdot(positives, precision), hits[:, -1] * (alarms[:, -1] > 0))

    return average_precision


def _roc_auc_ovr(y: Vector, scores: Vector, codes: Vector, blocks: int) -> BlockForm:
    import numpy as np

    areas = [_roc_auc(y == place, scores[:, place], codes, blocks) for place in range(scores.shape[1])]

    def mean_auc(weights: Matrix) -> Vector:
        of_class = np.array([area(weights) for area in areas])
        return divided(np.nansum(of_class, axis=0), np.isfinite(of_class).sum(axis=0))

    return mean_auc


def _f1_macro(y: Vector, scores: Vector, codes: Vector, blocks: int) -> BlockForm:
    import numpy as np

    classes = scores.shape[1]
    label, predicted = y.astype(np.int64), scores.argmax(axis=1)
    hit = label == predicted
    labelled, flagged = (counts_by_block(codes, of, blocks, classes) for of in (label, predicted))
    hits = counts_by_block(codes[hit], label[hit], blocks, classes)

    def f1(weights: Matrix) -> Vector:
        of_class = divided(2 * (weights @ hits), weights @ labelled + weights @ flagged)
        return divided(np.nansum(of_class, axis=1), np.isfinite(of_class).sum(axis=1))

    return f1


FORMS = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "roc_auc_ovr": _roc_auc_ovr,
    "f1_macro": _f1_macro,
}


def _histograms(y: Vector, scores: Vector, codes: Vector, blocks: int) -> tuple[Any, Any]:
    """Return how many positive, and how many negative rows of each block fall into each bin of ascending scores."""
    import numpy as np

    is_positive = y > 0
    edges = _edges(scores, is_positive)
    bins = np.searchsorted(edges, scores, side="right")
    width = len(edges) + 1
    return tuple(counts_by_block(codes[rows], bins[rows], blocks, width) for rows in (is_positive, ~is_positive))


def _edges(scores: Vector, is_positive: Vector) -> Vector:
    """Cut around quantiles of either class, so that no bin holds much of one class, however rare it is."""
    import numpy as np

    distinct = np.unique(scores)
    if len(distinct) <= BINS:
        return distinct[1:]
    levels = np.linspace(0, 1, BINS // 4)
    classes = [scores[rows] for rows in (is_positive, ~is_positive) if rows.any()]
    cuts = np.concatenate([np.quantile(some, levels, method="lower") for some in classes])
    return np.unique([cuts, np.nextafter(cuts, np.inf)])  # a cut is a bin of its own
