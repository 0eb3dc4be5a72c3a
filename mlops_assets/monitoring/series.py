"""How far every window lies from its baseline, one number per window: the past of these is what limits are made of.

Add here: distances that need only profiles. Keep out: limits (channel.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.stats.profile import CategoricalCounts, NumericCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mlops_assets.stats.grid import Grid

    Column = NumericCounts | CategoricalCounts

ROUNDING = 1e-12  # a variance below this share of the mean square is the noise of subtracting two large numbers


@dataclass(frozen=True)
class Series:
    """One feature; one entry per window that has a baseline, oldest first.

    Attributes:
        psi: Population stability index.
        missing_jump: Rise of the missing share.
        shift: Distance of the means in standard deviations of the baseline; 0 for categorical features.
        spread: Absolute logarithm of the ratio of the standard deviations; 0 for categorical features. Unlike PSI it
            cannot saturate: a change of unit shows however much the feature wanders by nature.
    """

    psi: np.ndarray
    missing_jump: np.ndarray
    shift: np.ndarray
    spread: np.ndarray


def measure(name: str, columns: Sequence[Column], baselines: Sequence[slice], grid: Grid) -> Series:
    """Measure the newest windows of a feature against their baselines.

    Args:
        name: The feature.
        columns: Its counts in all windows, oldest first.
        baselines: For each of the newest windows, the windows that it is compared with.
        grid: The bins of all windows.
    """
    shift, spread = _moments(columns, baselines)
    return Series(_psi(name, columns, baselines, grid), _missing_jumps(columns, baselines), shift, spread)


def mean_and_deviation(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation from number, sum and sum of squares (last axis); 0 and 0 of nothing."""
    import numpy as np

    number = np.maximum(sums[..., 0], 1)
    mean, square = sums[..., 1] / number, sums[..., 2] / number
    variance = square - mean**2
    return mean, np.sqrt(np.where(variance > ROUNDING * square, variance, 0.0))


def _psi(name: str, columns: Sequence[Column], baselines: Sequence[slice], grid: Grid) -> np.ndarray:
    """Return the PSI of the windows; numeric features on the grid's coarse bins."""
    import numpy as np

    from mlops_assets.stats.distances import psi

    counts = np.array([column.bins for column in columns])
    if name in grid.numeric:
        starts = [0, *(position + 1 for position in grid.numeric[name].coarse)]
        counts = np.add.reduceat(counts, starts, axis=-1)
    return psi(_sums(counts, baselines), counts[-len(baselines) :])


def _missing_jumps(columns: Sequence[Column], baselines: Sequence[slice]) -> np.ndarray:
    import numpy as np

    missing = np.array([(column.missing, column.missing + sum(column.bins)) for column in columns])
    now, then = missing[-len(baselines) :], _sums(missing, baselines)
    return now[:, 0] / np.maximum(now[:, 1], 1) - then[:, 0] / np.maximum(then[:, 1], 1)


def _moments(columns: Sequence[Column], baselines: Sequence[slice]) -> tuple[np.ndarray, np.ndarray]:
    """Return shift and spread; 0 where a side has no variation, which leaves PSI to tell."""
    import numpy as np

    numeric = [column for column in columns if isinstance(column, NumericCounts)]
    if not numeric:
        return np.zeros(len(baselines)), np.zeros(len(baselines))
    sums = np.array([(sum(column.counts), column.total, column.squares) for column in numeric], dtype=float)
    (mean, deviation), (base, base_deviation) = map(
        mean_and_deviation, (sums[-len(baselines) :], _sums(sums, baselines))
    )
    varied = (deviation > 0) & (base_deviation > 0)
    scale = np.where(varied, base_deviation, 1.0)
    spread = np.abs(np.log(np.where(varied, deviation, 1.0) / scale))
    return np.where(varied, np.abs(mean - base) / scale, 0.0), spread


def _sums(counts: np.ndarray, slices: Sequence[slice]) -> np.ndarray:
    """Return the sum of the rows of each slice."""
    import numpy as np

    return np.array([counts[part].sum(axis=0) for part in slices])
