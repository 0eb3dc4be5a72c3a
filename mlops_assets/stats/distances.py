"""How far apart two histograms on the same bins are. Every function compares along the last axis, so a year is one call.

Add here: distances between counts. Keep out: choosing bins (profile.py) and limits (monitoring/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FILL = 1e-4  # share put in place of an empty bin; Evidently's
FILL_SHRINK = 1e6  # ... unless a filled bin has a share below FILL: then that share over this


def psi(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Population stability index, natural logarithm.

    Bins empty on both sides are ignored; others are filled as in Evidently (`get_binned_data`), whose value this equals.

    >>> import numpy as np
    >>> round(float(psi(np.array([50, 50]), np.array([40, 60]))), 4)
    0.0405
    """
    import numpy as np

    used = (reference > 0) | (current > 0)
    expected, observed = np.broadcast_arrays(_filled(reference), _filled(current))
    return np.sum((observed - expected) * np.log(observed / expected), axis=-1, where=used)


def kolmogorov_smirnov(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Largest difference of the two cumulative shares; below the exact statistic by at most the largest bin's share."""
    import numpy as np

    return np.abs(_cumulative(reference) - _cumulative(current)).max(axis=-1, initial=0.0)


def wasserstein(reference: np.ndarray, current: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Earth mover's distance with each bin's mass at its position (ascending, one per bin), in units of the positions."""
    import numpy as np

    gap = np.abs(_cumulative(reference) - _cumulative(current))[..., :-1]
    return np.sum(gap * np.diff(positions), axis=-1)


def jensen_shannon(reference: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distance (root of the divergence, natural logarithm): 0 for equal shares, at most sqrt(ln 2)."""
    import numpy as np

    a, b = np.broadcast_arrays(_shares(reference), _shares(current))
    middle = np.where(a + b > 0, (a + b) / 2, 1.0)
    divergence = sum(np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0) / middle), 0.0).sum(axis=-1) for x in (a, b))
    return np.sqrt(np.maximum(divergence, 0.0) / 2)


def _shares(counts: np.ndarray) -> np.ndarray:
    import numpy as np

    total = counts.sum(axis=-1, keepdims=True)
    return counts / np.where(total > 0, total, 1)


def _cumulative(counts: np.ndarray) -> np.ndarray:
    return _shares(counts).cumsum(axis=-1)


def _filled(counts: np.ndarray) -> np.ndarray:
    import numpy as np

    shares = _shares(counts)
    smallest = np.where(shares > 0, shares, 1.0).min(axis=-1, keepdims=True, initial=1.0)
    return np.where(shares > 0, shares, np.where(smallest <= FILL, smallest / FILL_SHRINK, FILL))
