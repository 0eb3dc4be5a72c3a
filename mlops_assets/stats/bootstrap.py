"""Paired block bootstrap: how much better one set of scores is than another, when rows of one block share their luck.

Blocks are drawn with replacement and whole (Davison and Hinkley 1997, section 3.8); percentile intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Vector = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval; `blocks` is how many distinct blocks stand behind it."""

    estimate: float
    low: float
    high: float
    blocks: int


def paired_block_bootstrap(
    metric: Callable[[Vector, Vector], Callable[[Vector], float]],
    y: Vector,
    a: Vector,
    b: Vector,
    blocks: Vector,
    *,
    replicates: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Return the interval of `metric(a) - metric(b)` on the same rows.

    A replicate in which the metric is undefined (one class only) counts as no difference, which never favours `a`.

    Args:
        metric: Takes labels and scores, returns the metric as a function of row weights (`stats.metrics`).
        blocks: Block of each row; any values that `np.unique` can sort.

    Example:
        >>> import numpy as np
        >>> from mlops_assets.stats.metrics import METRICS
        >>> y, days = np.tile([0, 1], 50), np.repeat(np.arange(20), 5)
        >>> interval = paired_block_bootstrap(
        ...     METRICS["mae"].prepare, y, y * 0.8, y * 0.0, days, replicates=200, confidence=0.95, seed=0
        ... )
        >>> (round(interval.estimate, 6), interval.blocks, interval.high < 0)
        (-0.4, 20, True)
    """
    import numpy as np

    names, codes = np.unique(blocks, return_inverse=True)
    of_a, of_b = metric(y, a), metric(y, b)
    draws = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=replicates)
    differences = np.array([of_a(weights) - of_b(weights) for weights in (draw[codes].astype(float) for draw in draws)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.nan_to_num(differences, nan=0.0), [tail, 1 - tail])
    everything = np.ones(len(y))
    return Interval(of_a(everything) - of_b(everything), float(low), float(high), len(names))
