"""Expected calibration error: how far scores are from the shares that they promise, in bins of equal count.

Of several classes the most probable one is asked: its score against how often it is right. The observed error is judged:
noise only makes it larger, and the reason says how large it would be by chance alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.quality import finite
from mlops_assets.evaluation.verdict import Criterion
from mlops_assets.stats.block_metrics import divided

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.evaluation.rows import TestRows
    from mlops_assets.evaluation.spec import GateSpec
    from mlops_assets.stats.bootstrap import Blocks

    Vector = np.ndarray[Any, Any]

BINS = 10


def calibration_error(rows: TestRows, limit: float, *, blocks: Blocks, spec: GateSpec) -> Criterion:
    """Require that the expected calibration error is within its limit (Naeini, Cooper and Hauskrecht 2015)."""
    import numpy as np

    hits, scores = _promised(rows.y, rows.candidate)
    bins = equal_count_bins(scores)
    cells = blocks.codes * BINS + bins
    excess = np.bincount(cells, scores - hits, len(blocks) * BINS).reshape(-1, BINS)
    sizes = np.bincount(blocks.codes)
    values = blocks.resample(lambda weights: divided(abs(weights @ excess).sum(axis=1), weights @ sizes))
    error = float(abs(excess.sum(axis=0)).sum() / len(scores))
    found = blocks.interval(error, values, tail=spec.tail)
    by_chance = float(np.sqrt(2 / math.pi * np.bincount(bins, scores * (1 - scores))).sum() / len(scores))
    return Criterion(
        name="calibration_error",
        metric="expected_calibration_error",
        observed=error,
        low=finite(found.low),
        high=finite(found.high),
        threshold=limit,
        passed=error <= limit,
        reason=f"calibration_error: {error:.4g} [{found.low:.4g}, {found.high:.4g}]; required <= {limit:g}; a perfectly "
        f"calibrated model would show about {by_chance:.2g} on so many rows"
        + ("" if error <= limit else ". Set `training.calibration`, or look at the calibration plot"),
    )


def equal_count_bins(scores: Vector) -> Vector:
    """Return the bin of each score: tenths of the rows, equal scores together.

    >>> import numpy as np
    >>> equal_count_bins(np.linspace(0, 1, 20)).tolist()
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    """
    import numpy as np

    edges = np.quantile(scores, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, scores, side="left")


def _promised(y: Vector, scores: Vector) -> tuple[Vector, Vector]:
    """Return whether what was scored came true, and the score of it."""
    if scores.ndim == 1:
        return y, scores
    return (scores.argmax(axis=1) == y).astype(float), scores.max(axis=1)
