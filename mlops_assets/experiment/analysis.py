"""What may be said of an experiment at one look; pure: numbers in, a verdict out."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.experiment import guardrails
from mlops_assets.experiment.comparison import compare_always, compare_once
from mlops_assets.experiment.state import Look

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.experiment.observed import Observed
    from mlops_assets.experiment.spec import ExperimentSpec
    from mlops_assets.experiment.state import Comparison, Experiment, GuardrailLook, Outcome

RATIO_ALPHA = 0.001  # of the sample-ratio check, at one look
MIN_EXPECTED = 5  # units of an arm, before chi-squared says something


def look(experiment: Experiment, observed: Observed, now: datetime) -> Look:
    """Return what is seen now, and what follows from it.

    Guardrails first: whatever else holds, what they break ends at once. Then the sample ratio, without which nothing is
    concluded. Then the primary metric, if it may be seen.
    """
    spec, last = experiment.asked, experiment.looks[-1] if experiment.looks else None
    outcomes = (len(observed.primary.champion), len(observed.primary.challenger))
    missing = _missing(experiment, outcomes, now)
    is_due = not missing or now >= experiment.ends_by
    hidden = None if is_due or spec.analysis == "sequential" else spec.primary
    rails = guardrails.judge(spec.guardrails, observed, last.guardrails if last else (), hidden=hidden)
    primary = _compare(experiment, observed, last, is_due=is_due)
    units = (observed.sample.champion.units, observed.sample.challenger.units)
    ratio_p = sample_ratio_p(units, spec.share)
    verdict, said = _verdict(experiment, primary, rails, ratio_p, now=now, is_due=is_due)
    if verdict == "not_yet":
        said = (*said, *missing)
    is_final = verdict not in {"not_yet", "invalid"} or (verdict == "invalid" and is_due)
    return Look(now, units, outcomes, ratio_p, primary, rails, verdict, said, is_final)


def sample_ratio_p(units: tuple[int, int], share: float) -> float | None:
    """Return the p-value of "the units fell to champion and challenger as planned"; None of too few."""
    from scipy.stats import chisquare

    expected = [sum(units) * (1 - share), sum(units) * share]
    return float(chisquare(units, expected).pvalue) if min(expected) >= MIN_EXPECTED else None


def _missing(experiment: Experiment, outcomes: tuple[int, int], now: datetime) -> tuple[str, ...]:
    """Return, as sentences, what of the plan is not there yet."""
    size, spec = experiment.plan.size, experiment.asked
    arms = (("champion", size.champion - outcomes[0]), ("challenger", size.challenger - outcomes[1]))
    said = [f"The {arm} is short of {count:,} units with an outcome." for arm, count in arms if count > 0]
    days = spec.minimum_days - (now - experiment.started_at) / timedelta(days=1)
    return (*said, f"It has to run for {days:.1f} more days.") if days > 0 else tuple(said)


def _compare(experiment: Experiment, observed: Observed, last: Look | None, *, is_due: bool) -> Comparison | None:
    spec = experiment.asked
    if spec.analysis == "sequential":
        before = last.primary if last else None
        return compare_always(observed.primary, alpha=spec.alpha, tau=experiment.plan.tau, last=before)
    return compare_once(observed.primary, alpha=spec.alpha) if is_due else None


def _verdict(
    experiment: Experiment,
    primary: Comparison | None,
    rails: tuple[GuardrailLook, ...],
    ratio_p: float | None,
    *,
    now: datetime,
    is_due: bool,
) -> tuple[Outcome, tuple[str, ...]]:
    spec = experiment.asked
    breached = tuple(
        f"Guardrail {one.name} is breached: {one.said}; p {one.p:.2g}." for one in rails if one.is_breached
    )
    if breached:
        return "breach", breached
    if ratio_p is not None and ratio_p < RATIO_ALPHA:
        return "invalid", (
            f"The units did not fall to the arms as planned (p {ratio_p:.2g}), so something is broken and nothing is concluded.",
        )
    may_end = is_due or now - experiment.started_at >= timedelta(days=spec.minimum_days)
    if primary is not None and primary.p <= spec.alpha and may_end:
        return _shown(spec, primary)
    if is_due:
        return "no_difference", tuple(_nothing_shown(spec, primary))
    return "not_yet", ()


def _shown(spec: ExperimentSpec, primary: Comparison) -> tuple[Outcome, tuple[str, ...]]:
    is_larger = primary.low + primary.high > 0  # 0 is outside of the interval
    is_better = is_larger == spec.primary.is_larger_better
    said = f"The challenger is {'better' if is_better else 'worse'}: {told(primary)}."
    return ("win" if is_better else "loss"), (said,)


def _nothing_shown(spec: ExperimentSpec, primary: Comparison | None) -> list[str]:
    if primary is None:
        return ["There are too few units with an outcome, or all are equal: nothing can be told apart."]
    worth = spec.primary.minimum_effect
    if -worth < primary.low and primary.high < worth:
        return [f"No difference is shown: {told(primary)}. One of {worth:g} or more is ruled out."]
    return [f"No difference is shown: {told(primary)}. One of {worth:g} is not ruled out either."]


def told(primary: Comparison) -> str:
    """Return the difference as a part of a sentence."""
    return (
        f"{primary.champion:.4g} against {primary.challenger:.4g}, a difference of {primary.difference:+.3g} "
        f"({primary.low:+.3g} to {primary.high:+.3g}), p {primary.p:.2g}"
    )
