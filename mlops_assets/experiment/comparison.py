"""The difference of two arms, over units: rows of one unit share its luck, so they are one observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.experiment.plan import MIN_UNITS
from mlops_assets.experiment.sequential import p_values, radius
from mlops_assets.experiment.state import Comparison

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.experiment.observed import Pair

    Vector = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Estimate:
    """Means of both arms, and the variance of their difference."""

    champion: float
    challenger: float
    variance: float

    @property
    def difference(self) -> float:
        return self.challenger - self.champion


def estimate(champion: Vector, challenger: Vector) -> Estimate | None:
    """Return means and variance; None while there are too few units, or where all are equal."""
    if min(len(champion), len(challenger)) < MIN_UNITS:
        return None
    variance = _variance_of_mean(champion) + _variance_of_mean(challenger)
    return Estimate(float(champion.mean()), float(challenger.mean()), variance) if variance > 0 else None


def without_past(pair: Pair) -> tuple[Vector, Vector, float | None]:
    """Return the outcomes of both arms less what each unit's past foretells (CUPED), and the share of variance that it took.

    Deng, Xu, Kohavi and Walker 2013. A unit without a past keeps its outcome: it counts as one with a mean past.
    """
    import numpy as np

    if pair.champion.before is None or pair.challenger.before is None:
        return pair.champion.outcomes, pair.challenger.outcomes, None
    before = np.concatenate([pair.champion.before, pair.challenger.before])
    outcomes = np.concatenate([pair.champion.outcomes, pair.challenger.outcomes])
    is_known = ~np.isnan(before)
    past = np.where(is_known, before - before[is_known].mean() if is_known.any() else 0.0, 0.0)
    spread = float(past @ past)
    theta = float(past @ (outcomes - outcomes.mean())) / spread if spread else 0.0
    left = outcomes - theta * past
    reduction = 1 - float(left.var() / outcomes.var()) if outcomes.var() else 0.0
    return left[: len(pair.champion)], left[len(pair.champion) :], reduction


def compare_once(pair: Pair, *, alpha: float) -> Comparison | None:
    """Compare with tests that hold for one look: of shares that of Agresti and Caffo 2000, else Welch's."""
    champion, challenger, reduction = without_past(pair)
    found = estimate(champion, challenger)
    if found is None:
        return None
    is_share = _is_binary(champion) and _is_binary(challenger)
    p, low, high = (_agresti_caffo if is_share else _welch)(champion, challenger, alpha)
    return Comparison(found.champion, found.challenger, found.difference, low, high, p, reduction)


def compare_always(pair: Pair, *, alpha: float, tau: float, last: Comparison | None) -> Comparison | None:
    """Compare with the test and the interval that hold for all looks, whatever `last` had shown already."""
    champion, challenger, reduction = without_past(pair)
    found = estimate(champion, challenger)
    if found is None:
        return last
    p = float(p_values(found.difference, found.variance, tau=tau)[-1])
    half = float(radius(found.variance, tau=tau, alpha=alpha)[0])
    low, high = found.difference - half, found.difference + half
    if last is not None:
        p = min(p, last.p)
        low, high = _intersection((low, high), (last.low, last.high))
    return Comparison(found.champion, found.challenger, found.difference, low, high, p, reduction)


def _intersection(now: tuple[float, float], before: tuple[float, float]) -> tuple[float, float]:
    """Return what both intervals hold.

    Where they have nothing in common, at least one leaves out 0: the older such one, so that nothing shown is taken back.
    """
    low, high = max(now[0], before[0]), min(now[1], before[1])
    if low <= high:
        return low, high
    return now if before[0] <= 0 <= before[1] else before


def _variance_of_mean(values: Vector) -> float:
    """Return it from the sample; of shares with one more of each kind, since few zeros or ones would say too much."""
    if _is_binary(values):
        share = (float(values.sum()) + 1) / (len(values) + 2)
        return share * (1 - share) / len(values)
    return float(values.var(ddof=1)) / len(values)


def _is_binary(values: Vector) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _agresti_caffo(champion: Vector, challenger: Vector, alpha: float) -> tuple[float, float, float]:
    from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

    counts = (int(challenger.sum()), len(challenger), int(champion.sum()), len(champion))
    tested: Any = test_proportions_2indep(*counts, method="agresti-caffo")
    low, high = confint_proportions_2indep(*counts, compare="diff", method="agresti-caffo", alpha=alpha)
    return float(tested.pvalue), float(low), float(high)


def _welch(champion: Vector, challenger: Vector, alpha: float) -> tuple[float, float, float]:
    from scipy.stats import ttest_ind

    tested: Any = ttest_ind(challenger, champion, equal_var=False)
    interval = tested.confidence_interval(1 - alpha)
    return float(tested.pvalue), float(interval.low), float(interval.high)
