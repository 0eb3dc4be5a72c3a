"""The 99th percentile of how long requests take, which must not get worse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.rollout.evidence import WORST_FIRST, Judged, Outcome
from mlops_assets.stats.clusters import counted_by, design_effect

if TYPE_CHECKING:
    from mlops_assets.rollout.evidence import ArmSample, Vector
    from mlops_assets.rollout.spec import LatencySpec

TAIL = 0.01  # share of the requests that are slower than the 99th percentile


@dataclass(frozen=True)
class Times:
    """How long the requests of an arm took.

    Attributes:
        units: Of each request; None: each has one of its own.
    """

    ms: Vector
    units: Vector | None

    @cached_property
    def p99(self) -> float:
        import numpy as np

        return float(np.quantile(self.ms, 1 - TAIL))

    def design(self, is_slow: Vector) -> float:
        """Return how many requests weigh as one."""
        return 1.0 if self.units is None else design_effect(*counted_by(self.units, is_slow))

    def is_slower(self, limit_ms: float, alpha: float) -> bool:
        """Tell whether surely more than 1 % are slower than a limit."""
        from scipy.stats import binom

        is_slow = self.ms > limit_ms
        slow, requests = (count / self.design(is_slow) for count in (is_slow.sum(), len(is_slow)))
        return bool(binom.sf(math.floor(slow) - 1, round(requests), TAIL) < alpha)

    def upper_p99(self, alpha: float) -> float | None:
        """Return an order statistic that lies below the true 99th percentile with a chance of at most alpha, if there is one."""
        import numpy as np
        from scipy.stats import binom

        requests = round(len(self.ms) / self.design(self.ms >= self.p99)) if len(self.ms) else 0
        position = int(binom.isf(alpha, requests, 1 - TAIL))
        if position >= requests:
            return None
        position = math.ceil(position * len(self.ms) / requests)
        return float(np.partition(self.ms, position)[position])


def latency_p99(
    champion: ArmSample, challenger: ArmSample, spec: LatencySpec, *, is_alone: bool, is_shadow: bool = False
) -> Judged:
    """Fail if surely more than 1 % of the requests are slower than allowed: beside the champion, or by `max_ms`; the worse counts."""
    if not len(challenger.latency_ms):
        said = "No request of the challenger was timed."
        return Judged("latency_p99", "no_data", None, spec.max_ratio, said)
    own, other = (Times(arm.latency_ms, None if is_shadow else arm.latency_units) for arm in (challenger, champion))
    judged = [_beside_champion(other, own, spec)]
    if is_alone and judged[0].outcome == "no_data":
        judged.clear()
    if spec.max_ms is not None:
        judged.append(_by_itself(own, spec.max_ms, spec.alpha))
    said = f"p99 {own.p99:.3g} ms; there is nothing to compare it with."
    nothing = Judged("latency_p99", "pass", None, spec.max_ratio, said)
    return min(judged, key=lambda one: WORST_FIRST.index(one.outcome), default=nothing)


def _beside_champion(champion: Times, challenger: Times, spec: LatencySpec) -> Judged:
    """Compare with `max_ratio` times an upper bound of the champion's 99th percentile, which is one of its order statistics.

    The bound is wrong with a chance of alpha / 2, and so is the count above it: together alpha at most.
    """
    bound, own, requests = champion.upper_p99(spec.alpha / 2), challenger.p99, len(champion.ms)
    if bound is None:
        alike = "" if champion.units is None else ", of one unit alike,"
        said = f"p99 {own:.3g} ms; {requests:,} requests of the champion{alike} do not bound its own."
        return Judged("latency_p99", "no_data", None, spec.max_ratio, said)
    other = champion.p99
    ratio = own / other if other else float("inf")
    outcome: Outcome = "inconclusive" if own > spec.max_ratio * other else "pass"
    if challenger.is_slower(spec.max_ratio * bound, spec.alpha / 2):
        outcome = "fail"
    said = f"p99 {own:.3g} ms in {len(challenger.ms):,} requests; champion {other:.3g} ms in {requests:,}."
    return Judged("latency_p99", outcome, ratio, spec.max_ratio, said)


def _by_itself(own: Times, max_ms: float, alpha: float) -> Judged:
    outcome: Outcome = "inconclusive" if own.p99 > max_ms else "pass"
    if own.is_slower(max_ms, alpha):
        outcome = "fail"
    return Judged("latency_p99", outcome, own.p99, max_ms, f"p99 {own.p99:.3g} ms in {len(own.ms):,} requests.")
