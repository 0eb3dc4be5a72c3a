"""What labels say of both arms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.rollout.evidence import Judged, Outcome

if TYPE_CHECKING:
    from mlops_assets.rollout.evidence import Sample, Vector
    from mlops_assets.rollout.spec import LabelSpec

FEWEST = 2  # of which a variance can be taken


def label(sample: Sample, spec: LabelSpec, *, is_shadow: bool, is_alone: bool) -> Judged | None:
    """Pass if the challenger's mean is surely worse by less than `margin`, fail if surely by more (Welch, over units).

    The first at each look, because it must hold at one step after the other; the second over all looks, because one is enough.

    With all traffic, where the champion has no new labels, what is not surely worse passes: the step before has shown it.
    In the shadow only the champion acts, so that labels themselves say nothing of the challenger; errors do, but are not
    waited for.
    """
    from scipy.stats import t

    own, other = sample.challenger.outcomes, sample.champion.outcomes
    if (is_shadow and spec.metric == "label") or (is_alone and len(other) < FEWEST):
        return None
    if sample.labelled < spec.min_labels or min(len(own), len(other)) < FEWEST:
        said = f"{sample.labelled:,} labelled rows of {len(own):,} units; it takes {spec.min_labels:,} rows."
        if not sample.labelled:
            said += " Labels are joined to the compacted log: see the asset `prediction_log` and its schedule."
        return None if is_shadow else Judged("label", "no_data", None, spec.margin, said)
    sign = -1 if spec.metric == "label" and spec.larger_is_better else 1
    worse = sign * float(own.mean() - other.mean())
    error, freedom = welch(own, other)
    slack = float(t.ppf(spec.confidence, freedom) * error)
    outcome: Outcome = "pass" if worse + slack < spec.margin or is_alone else "inconclusive"
    if is_ever_above(worse - spec.margin, error, freedom, alpha=1 - spec.confidence, scale=spec.margin):
        outcome = "fail"
    said = (
        f"Mean {spec.metric} {own.mean():.4g} of {len(own):,} units; champion {other.mean():.4g} of {len(other):,}: "
        f"worse by {worse:.4g} +- {slack:.2g}."
    )
    return Judged("label", outcome, worse, spec.margin, said)


def welch(own: Vector, other: Vector) -> tuple[float, float]:
    """Return the standard error of the difference of two means whose variances differ, and its degrees of freedom (Welch 1947)."""
    first, second = own.var(ddof=1) / len(own), other.var(ddof=1) / len(other)
    if not first + second:
        return 0.0, 1.0
    freedom = (first + second) ** 2 / (first**2 / (len(own) - 1) + second**2 / (len(other) - 1))
    return float(first + second) ** 0.5, float(freedom)


def is_ever_above(difference: float, error: float, freedom: float, *, alpha: float, scale: float) -> bool:
    """Tell whether a difference is above 0, with a chance of alpha to be wrong over all looks together.

    The mixture sequential probability ratio test (Robbins 1970; Johari et al. 2017) with a normal mixture.

    Args:
        scale: Standard deviation of the mixture: the size of differences that matter.
    """
    from math import log

    from scipy.stats import norm, t

    if difference <= 0 or not error:
        return difference > 0
    z = float(norm.isf(t.sf(difference / error, freedom)))
    rest = error**2 / (scale**2 + error**2)
    return log(rest) / 2 + (1 - rest) * z**2 / 2 > -log(alpha)
