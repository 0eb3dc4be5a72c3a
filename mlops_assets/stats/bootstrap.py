"""Block bootstrap: how sure a metric is when rows of one block share their luck.

Blocks are drawn with replacement and whole (Davison and Hinkley 1997, section 3.8). Percentile intervals of few blocks
are too short, so their level is expanded to that of Student's t (Hesterberg 2015, section 5.3, "expanded percentile"),
with the effective number of blocks where these differ in size (Kish 1965; Carter, Schnepel and Steigerwald 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.stats.block_metrics import BINS, block_form

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.stats.block_metrics import BlockForm
    from mlops_assets.stats.metrics import Metric

    Vector = np.ndarray[Any, Any]

CELLS = 2**20  # weights times bins that are in memory at once


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval; `blocks` is how many distinct blocks stand behind it."""

    estimate: float
    low: float
    high: float
    blocks: int


@dataclass(frozen=True)
class Blocks:
    """The blocks of some rows, and how they are drawn: the same seed draws the same blocks for every metric.

    Attributes:
        names: The distinct blocks.
        codes: Place in `names` of each row's block.
    """

    names: Vector
    codes: Vector
    replicates: int
    seed: int

    @classmethod
    def of(cls, blocks: Vector, *, replicates: int, seed: int) -> Blocks:
        """Number the blocks of rows; they are any values that `np.unique` can sort."""
        import numpy as np

        names, codes = np.unique(blocks, return_inverse=True)
        return cls(names, codes, replicates, seed)

    def __len__(self) -> int:
        return len(self.names)

    def form(self, metric: Metric, y: Vector, scores: Vector, rows: Vector | None = None) -> BlockForm:
        """Return a metric of all rows, or of those in the mask `rows`, as a function of the weights of blocks."""
        if rows is None:
            return block_form(metric, y, scores, self.codes, len(self))
        return block_form(metric, y[rows], scores[rows], self.codes[rows], len(self))

    def resample(self, form: BlockForm) -> Vector:
        """Return the value of each replicate; NaN where it is undefined."""
        import numpy as np

        count, step = len(self), max(1, CELLS // max(len(self), BINS))
        rng, chance = np.random.default_rng(self.seed), np.full(count, 1 / count)
        sizes = [min(step, self.replicates - start) for start in range(0, self.replicates, step)]
        return np.concatenate([form(rng.multinomial(count, chance, size=size).astype(float)) for size in sizes])

    def interval(self, estimate: float, values: Vector, *, tail: float, rows: Vector | None = None) -> Interval:
        """Return the interval that leaves out a share `tail` of chance on each side.

        Args:
            values: What `resample` returned; NaN counts as the worst on both sides.
            rows: Mask of the rows behind the values; all if None.
        """
        import numpy as np

        sizes = np.bincount(self.codes if rows is None else self.codes[rows], minlength=len(self))
        level = expanded(tail, effective_blocks(sizes))
        low = np.quantile(np.nan_to_num(values, nan=-np.inf), level, method="lower")
        high = np.quantile(np.nan_to_num(values, nan=np.inf), 1 - level, method="higher")
        return Interval(estimate, float(low), float(high), int((sizes > 0).sum()))


def paired_interval(metric: Metric, y: Vector, a: Vector, b: Vector, blocks: Blocks, *, tail: float) -> Interval:
    """Return the interval of how much better `a` is than `b` on the same rows; positive if it is, whatever the metric.

    A replicate in which the metric is undefined (one class only) counts as no difference, which never favours `a`.

    Example:
        >>> import numpy as np
        >>> from mlops_assets.stats.metrics import METRICS
        >>> y, days = np.tile([0, 1], 50), np.repeat(np.arange(20), 5)
        >>> blocks = Blocks.of(days, replicates=200, seed=0)
        >>> interval = paired_interval(METRICS["mae"], y, y * 0.8, y * 0.0, blocks, tail=0.025)
        >>> (round(interval.estimate, 6), interval.blocks, interval.low > 0)
        (0.4, 20, True)
    """
    import numpy as np

    more, less = (a, b) if metric.greater_is_better else (b, a)
    values = blocks.resample(blocks.form(metric, y, more)) - blocks.resample(blocks.form(metric, y, less))
    return blocks.interval(metric(y, more) - metric(y, less), np.nan_to_num(values, nan=0.0), tail=tail)


def effective_blocks(sizes: Vector) -> float:
    """Return how many blocks of equal size say as much as these.

    >>> import numpy as np
    >>> effective_blocks(np.array([5, 5, 5, 5])), round(effective_blocks(np.array([97, 1, 1, 1])), 2)
    (4.0, 1.06)
    """
    return float(sizes.sum() ** 2 / max((sizes.astype(float) ** 2).sum(), 1))


def expanded(tail: float, blocks: float) -> float:
    """Return the quantile level at which a bootstrap of so many blocks leaves out `tail`.

    >>> round(expanded(0.025, 1e6), 4), round(expanded(0.025, 10), 4)
    (0.025, 0.0086)
    """
    from scipy.special import ndtr, stdtrit

    count = max(blocks, 2.0)
    return float(ndtr(math.sqrt(count / (count - 1)) * stdtrit(count - 1, tail)))
