"""Metrics that must not get worse: errors, missing features, and who fell to which arm (`latency.py` is another).

They are alarms: what cannot be told from chance passes. Only a value beyond a limit of the spec that may still be chance is
inconclusive, and waits for more requests.

Requests of one unit are alike, and one heavy unit that always fails falls to one arm: in a step in which units fall to arms,
counts are divided by their design effect. In the shadow both arms have the same units.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlops_assets.rollout.assignment import BUCKETS
from mlops_assets.rollout.evidence import Judged, Outcome
from mlops_assets.stats.clusters import design_effect

if TYPE_CHECKING:
    from mlops_assets.rollout.evidence import ArmSample
    from mlops_assets.rollout.spec import ErrorShareSpec, NullShareSpec, SampleRatioSpec

FEW = 5  # expected units below which chi-squared is not to be trusted (Cochran 1954)


def error_share(
    champion: ArmSample, challenger: ArmSample, spec: ErrorShareSpec, *, is_alone: bool, is_shadow: bool = False
) -> Judged:
    """Fail on more errors than the champion's (Fisher, one-sided), or surely more than `max` (binomial).

    Args:
        is_alone: The challenger has all traffic, so that without a champion `max` alone counts.
        is_shadow: Both arms have the same units.
    """
    if not challenger.requests:
        return Judged("error_share", "no_data", None, spec.max, "No request of the challenger.")
    errors, requests = _independent(challenger, is_shadow=is_shadow)
    least = failing_errors(_independent(champion, is_shadow=is_shadow), requests, spec)
    share = challenger.errors / challenger.requests
    outcome: Outcome = "inconclusive" if share > spec.max else "pass"
    if least is not None and errors >= least:
        outcome = "fail"
    elif not champion.requests and not is_alone:
        outcome = "no_data"
    limit = spec.max if least is None else least / requests
    said = f"{_part(challenger.errors, challenger.requests)} requests failed"
    if requests < challenger.requests:
        said += f", which weigh as {requests:,} because units are alike"
    said += f"; champion {_part(champion.errors, champion.requests)}."
    return Judged("error_share", outcome, share, limit, said)


def failing_errors(champion: tuple[float, int], requests: int, spec: ErrorShareSpec) -> int | None:
    """Return the fewest errors among the challenger's requests that fail; nothing if not even all of them would.

    Args:
        champion: Its errors, of how many requests.
    """
    from scipy.stats import binom, hypergeom

    others, among = math.ceil(champion[0]), champion[1]

    def is_worse(errors: int) -> bool:
        return bool(hypergeom.sf(errors - 1, among + requests, others + errors, requests) < spec.alpha)

    passed, least = 0, 1 + requests * others // max(among, 1)
    while least <= requests and not is_worse(least):
        passed, least = least, 2 * least + 1
    least = min(least, requests + 1)
    while least - passed > 1:  # where more errors pass, fewer do
        middle = (passed + least) // 2
        passed, least = (passed, middle) if is_worse(middle) else (middle, least)
    least = min(least, int(binom.isf(spec.alpha, requests, spec.max)) + 1)
    return least if least <= requests else None


def null_share(champion: ArmSample, challenger: ArmSample, spec: NullShareSpec, *, is_alone: bool) -> Judged | None:
    """Fail if the share of missing values is surely higher by more than `max_increase` (two proportions, unpooled).

    Values of one unit go missing together, so that units are counted, not values; one more of each kind keeps small counts
    honest (Agresti and Caffo 2000).
    """
    from scipy.stats import norm

    if not champion.features or not challenger.features:
        said = "No feature value was asked for."
        is_nothing = is_alone or bool(
            challenger.requests and champion.requests
        )  # such a model has no features to look up
        return None if is_nothing else Judged("null_share", "no_data", None, spec.max_increase, said)
    own, other = (arm.nulls / arm.features for arm in (challenger, champion))
    (p1, v1), (p0, v0) = (_proportion(arm) for arm in (challenger, champion))
    increase = own - other
    outcome: Outcome = "inconclusive" if increase > spec.max_increase else "pass"
    if outcome != "pass" and norm.sf((p1 - p0 - spec.max_increase) / (v1 + v0) ** 0.5) < spec.alpha:
        outcome = "fail"
    said = f"{own:.2%} of {challenger.features:,} feature values were missing; champion {other:.2%}."
    return Judged("null_share", outcome, increase, spec.max_increase, said)


def sample_ratio(champion: ArmSample, challenger: ArmSample, spec: SampleRatioSpec, *, share: float) -> Judged:
    """Fail if the units fell to the arms as chance would not do it (chi-squared; exact where few are expected)."""
    from scipy.stats import binomtest, chi2

    units, expected_share = champion.units + challenger.units, round(share * BUCKETS) / BUCKETS
    limit = float(chi2.isf(spec.alpha, 1))
    if not units:
        return Judged("sample_ratio", "no_data", None, limit, "No unit yet.")
    expected = units * expected_share
    if FEW <= expected <= units - FEW:
        value = (challenger.units - expected) ** 2 / (expected * (1 - expected_share))
    else:
        value = float(chi2.isf(binomtest(challenger.units, units, expected_share).pvalue, 1))
    said = f"{_part(challenger.units, units)} units fell to the challenger; {expected_share:.2%} were to."
    return Judged("sample_ratio", "fail" if value > limit else "pass", value, limit, said)


def _independent(arm: ArmSample, *, is_shadow: bool) -> tuple[float, int]:
    """Return the errors of an arm, and of how many requests, counted as independent ones."""
    design = 1.0 if is_shadow or arm.unit_errors is None else design_effect(*arm.unit_errors)
    return arm.errors / design, round(arm.requests / design)


def _proportion(arm: ArmSample) -> tuple[float, float]:
    """Return the share of missing values and its variance, as if each unit had one value."""
    count = min(arm.features, arm.units or arm.requests) + 2
    share = (arm.nulls / arm.features * (count - 2) + 1) / count
    return share, share * (1 - share) / count


def _part(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.2%})" if whole else "none"
