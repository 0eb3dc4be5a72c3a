"""Tests that may be looked at any time: likelihood ratios mixed over a normal prior of effects.

Of a difference `d` whose estimate is about normal with variance `v`, the ratio of the mixture to "no difference" is a
martingale while units arrive, so it exceeds 1/alpha at any look with a chance of at most alpha (Ville's inequality).
Robbins 1970; Johari, Koomen, Pekelis and Walsh 2022, "Always valid inference", section 4. No installed library has it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, Any]
    Number = float | Vector


def p_values(difference: Number, variance: Number, *, tau: float) -> Vector:
    """Return the p-values of "no difference", one a look, oldest first; valid at whichever look one stops.

    They are the running minimum over the last axis, because what was shown once stays shown.

    Args:
        tau: Standard deviation of the effects that are expected; power is best where an effect is about as large.
    """
    import numpy as np

    return np.minimum.accumulate(np.exp(-np.maximum(log_ratio(difference, variance, tau=tau), 0)), axis=-1)


def breach_p_values(excess: Number, variance: Number, *, tau: float) -> Vector:
    """Return the p-values of "the excess is not above 0", one a look, oldest first: the same, mixed over positive effects."""
    import numpy as np
    from scipy.special import log_ndtr

    one_sided = math.log(2) + log_ndtr(np.asarray(excess) * tau / np.sqrt(np.asarray(variance) * (variance + tau**2)))
    ratio = log_ratio(excess, variance, tau=tau) + one_sided
    return np.minimum.accumulate(np.exp(-np.maximum(ratio, 0)), axis=-1)


def log_ratio(difference: Number, variance: Number, *, tau: float) -> Vector:
    """Return the logarithm of the likelihood ratio of the mixture N(0, tau**2) to "no difference"."""
    import numpy as np

    d, v = np.atleast_1d(difference), np.atleast_1d(variance)
    return 0.5 * np.log(v / (v + tau**2)) + tau**2 * d**2 / (2 * v * (v + tau**2))


def radius(variance: Number, *, tau: float, alpha: float) -> Vector:
    """Return the half width of the confidence sequence: what differs by more has a p-value below alpha.

    >>> from math import isclose
    >>> half = radius(0.04, tau=0.5, alpha=0.05)[0]
    >>> isclose(p_values(half, 0.04, tau=0.5)[0], 0.05)
    True
    """
    import numpy as np

    v = np.atleast_1d(variance)
    return np.sqrt(v * (v + tau**2) / tau**2 * (2 * math.log(1 / alpha) + np.log((v + tau**2) / v)))


def variance_for_power(effect: float, *, tau: float, alpha: float, power: float) -> float:
    """Return the variance of the difference at which `effect` is shown by that look alone with the chance `power`.

    Looks before it only add to the chance, so a test of this size has at least this power.

    >>> round(0.01**2 / variance_for_power(0.01, tau=0.01, alpha=0.05, power=0.8), 2)
    15.21
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    def spare(log_units: float) -> float:
        v = effect**2 / math.exp(log_units)
        return (effect - float(radius(v, tau=tau, alpha=alpha)[0])) / math.sqrt(v) - float(ndtri(power))

    log_units: Any = brentq(spare, -5, 25)
    return effect**2 / math.exp(log_units)


def expected_share(effect: float, variance: float, *, tau: float, alpha: float, looks: int, paths: int = 4000) -> float:
    """Return how much of the planned units is used on average, by simulation, if the true difference is `effect`.

    Args:
        variance: Of the difference when all planned units are there.
        looks: Evenly spaced over them.
    """
    import numpy as np

    shares = np.arange(1, looks + 1) / looks
    noise = np.random.default_rng(0).normal(size=(paths, looks)).cumsum(axis=1) * math.sqrt(looks * variance)
    seen = effect + noise / np.arange(1, looks + 1)
    is_shown = p_values(seen, variance / shares, tau=tau) <= alpha
    stopped = np.where(is_shown.any(axis=1), shares[is_shown.argmax(axis=1)], 1.0)
    return float(stopped.mean())
