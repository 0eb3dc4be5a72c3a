"""What must not get worse: each guardrail has a test of its own that holds for all looks together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.experiment.comparison import estimate
from mlops_assets.experiment.sequential import breach_p_values
from mlops_assets.experiment.state import GuardrailLook
from mlops_assets.rollout.latency import TAIL, Times
from mlops_assets.stats.clusters import design_effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.experiment.observed import Observed, Pair
    from mlops_assets.experiment.spec import GuardrailSpec, OutcomeSpec
    from mlops_assets.rollout.evidence import ArmSample

MIN_OBSERVATIONS = 100  # of each arm, before a share is about normal
MIN_TIMES = 1000  # before there are enough above the 99th percentile


@dataclass(frozen=True)
class Excess:
    """How far beyond its margin a guardrail is.

    Attributes:
        value: How much worse the challenger is, as the margin counts it.
        beyond: What is tested against 0, with its variance.
        tau: Expected size of `beyond`.
    """

    value: float
    beyond: float
    variance: float
    tau: float
    said: str


def judge(
    guardrails: list[GuardrailSpec], observed: Observed, last: tuple[GuardrailLook, ...], *, hidden: OutcomeSpec | None
) -> tuple[GuardrailLook, ...]:
    """Look at every guardrail.

    Args:
        last: The same guardrails at the look before.
        hidden: A measurement whose value may not be shown yet.
    """
    before = dict(enumerate(last))
    return tuple(
        _look(one, _excess(one, observed, at), before.get(at), is_hidden=hidden is not None and _shows(one, hidden))
        for at, one in enumerate(guardrails)
    )


def _look(
    guardrail: GuardrailSpec, excess: Excess | None, last: GuardrailLook | None, *, is_hidden: bool
) -> GuardrailLook:
    p = last.p if last else 1.0
    if excess is not None:
        p = min(p, float(breach_p_values(excess.beyond, excess.variance, tau=excess.tau)[-1]))
    is_breached = p <= guardrail.alpha
    said = excess.said if excess else "nothing to compare so far: too few requests or units, or all alike"
    value = excess.value if excess else None
    if is_hidden and not is_breached:
        value, said = None, "not breached; its value is shown at the end, since it tells the primary metric"
    return GuardrailLook(guardrail.name, value, guardrail.margin, p, is_breached, said)


def _shows(guardrail: GuardrailSpec, hidden: OutcomeSpec) -> bool:
    return guardrail.outcome is not None and guardrail.outcome.source == hidden.source


def _excess(guardrail: GuardrailSpec, observed: Observed, at: int) -> Excess | None:
    arms, margin = (observed.sample.champion, observed.sample.challenger), guardrail.margin
    match guardrail.name:
        case "error_share":
            counts = [(arm.errors, arm.requests) for arm in arms]
            return _of_shares("errors", counts, [_independent(arm) for arm in arms], margin)
        case "null_share":
            # the features of a unit are looked up together, so that units count as observations
            counts = [(arm.nulls, arm.features) for arm in arms]
            return _of_shares("nulls", counts, [min(arm.requests, arm.units or arm.requests) for arm in arms], margin)
        case "latency_p99":
            champion, challenger = (Times(arm.latency_ms, arm.latency_units) for arm in arms)
            return _of_times(champion, challenger, margin)
        case "outcome":
            assert guardrail.outcome is not None  # the spec asks for it
            return _of_outcomes(observed.guardrails[at], guardrail.outcome, margin)


def _independent(arm: ArmSample) -> float:
    """Return how many independent requests those of an arm are worth: of a unit that always fails all fail in one arm."""
    return arm.requests / (1 if arm.unit_errors is None else design_effect(*arm.unit_errors))


def _of_shares(what: str, counts: list[tuple[int, int]], sizes: Sequence[float], margin: float) -> Excess | None:
    """Compare two shares.

    Args:
        sizes: Of each arm, how many independent observations there are.
    """
    if min(sizes) < MIN_OBSERVATIONS or min(whole for _, whole in counts) == 0:
        return None
    (champion, challenger) = shares = [part / whole for part, whole in counts]
    smoothed = [(share * size + 1) / (size + 2) for share, size in zip(shares, sizes, strict=True)]
    variance = sum(share * (1 - share) / size for share, size in zip(smoothed, sizes, strict=True))
    worse = challenger - champion
    said = f"{what}: {challenger:.3%} of the challenger's, {champion:.3%} of the champion's"
    return Excess(worse, worse - margin, variance, margin, said)


def _of_times(champion: Times, challenger: Times, margin: float) -> Excess | None:
    """Compare how many of the challenger's requests take longer than the allowed multiple of the champion's p99.

    If it is as fast as allowed that is 1 %; how well the champion's p99 is known enters by its own requests.
    """
    if min(len(champion.ms), len(challenger.ms)) < MIN_TIMES:
        return None
    p99, own, is_slow = champion.p99, challenger.p99, challenger.ms > champion.p99 * (1 + margin)
    slow = float(is_slow.mean())
    worth = (champion.design(champion.ms > p99) / len(champion.ms), challenger.design(is_slow) / len(challenger.ms))
    said = f"p99 {own:.3g} ms of the challenger, {p99:.3g} ms of the champion; {slow:.2%} of its requests beyond"
    return Excess(own / p99 - 1 if p99 else 0.0, slow - TAIL, TAIL * (1 - TAIL) * sum(worth), TAIL, said)


def _of_outcomes(pair: Pair, outcome: OutcomeSpec, margin: float) -> Excess | None:
    found = estimate(pair.champion.outcomes, pair.challenger.outcomes)
    if found is None:
        return None
    worse = -found.difference if outcome.is_larger_better else found.difference
    said = f"{outcome.source}: mean {found.challenger:.4g} of the challenger, {found.champion:.4g} of the champion"
    return Excess(worse, worse - margin, found.variance, margin, said)
