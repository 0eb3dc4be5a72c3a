"""How many units an experiment takes, and how long: decided before it starts, and kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.experiment.spec import ExperimentSpec

MIN_UNITS = 100  # of each arm, before its mean is about normal
CURVE = (0.5, 0.75, 1.0, 1.5, 2.0)  # of the minimum effect
LOOKS = 30  # of which the average of a sequential test is simulated


@dataclass(frozen=True)
class Size:
    """What one effect costs.

    Attributes:
        effect: Difference of the means, absolute.
        champion: Units with an outcome that the champion takes.
        challenger: Units with an outcome that the challenger takes.
        days: How long that lasts; None where `units_per_day` is not known.
    """

    effect: float
    champion: int
    challenger: int
    days: float | None

    @property
    def units(self) -> int:
        return self.champion + self.challenger


@dataclass(frozen=True)
class Plan:
    """What was decided before.

    Attributes:
        size: For the minimum effect.
        days: How long it runs: for the units, and at least `minimum_days`.
        times_fixed: How many times the units of a fixed test a sequential one plans with; 1 of a fixed one.
        expected_share: Share of the planned units that it takes on average if the effect is the minimum effect.
        tau: Standard deviation of the prior of a sequential test.
        warnings: What speaks against starting it so.
    """

    analysis: str
    alpha: float
    power: float
    share: float
    size: Size
    days: float | None
    times_fixed: float
    expected_share: float
    tau: float
    warnings: tuple[str, ...] = ()


def plan(spec: ExperimentSpec, units_per_day: float | None = None) -> Plan:
    """Return the plan of an experiment.

    Guardrails do not enter it: they can only stop the experiment, so the primary metric keeps its alpha.
    """
    from mlops_assets.experiment.sequential import expected_share, variance_for_power

    effect, share = spec.primary.minimum_effect, 1.0
    size = size_for(spec, effect, units_per_day)
    if spec.analysis == "sequential":
        variance = variance_for_power(effect, tau=effect, alpha=spec.alpha, power=spec.power)
        share = expected_share(effect, variance, tau=effect, alpha=spec.alpha, looks=LOOKS)
    days = None if size.days is None else max(size.days, spec.minimum_days)
    return Plan(
        analysis=spec.analysis,
        alpha=spec.alpha,
        power=spec.power,
        share=spec.share,
        size=size,
        days=days,
        times_fixed=_times_fixed(spec),
        expected_share=share,
        tau=effect,
        warnings=tuple(_warnings(spec, size, days)),
    )


def curve(spec: ExperimentSpec, units_per_day: float | None = None) -> list[Size]:
    """Return what smaller and larger effects would cost."""
    sizes = [
        size_for(spec, spec.primary.minimum_effect * times, units_per_day) for times in CURVE if _fits(spec, times)
    ]
    return sorted(sizes, key=lambda size: size.effect)


def size_for(spec: ExperimentSpec, effect: float, units_per_day: float | None = None) -> Size:
    """Return the units of each arm that show `effect` with the power that is asked for; at least so many that they say anything."""
    ratio = spec.share / (1 - spec.share)
    asked = _fixed_champion_units(spec, effect, ratio) * _times_fixed(spec)
    champion = math.ceil(max(asked, MIN_UNITS, MIN_UNITS / ratio))
    challenger, per_day = math.ceil(champion * ratio), units_per_day or spec.units_per_day
    days = None if per_day is None else (champion + challenger) / per_day
    return Size(effect, champion, challenger, days)


def _fixed_champion_units(spec: ExperimentSpec, effect: float, ratio: float) -> float:
    """Ask statsmodels' closed form; its solvers find nothing where effects are large or arms very unequal."""
    from statsmodels.stats.power import normal_sample_size_one_tail

    deviation = math.sqrt(
        1 + 1 / ratio
    )  # of the difference, in standard deviations of a unit, for one unit of the champion
    return float(normal_sample_size_one_tail(_effect_size(spec, effect), spec.power, spec.alpha / 2, deviation))


def _effect_size(spec: ExperimentSpec, effect: float) -> float:
    """Return an effect in standard deviations.

    Of a share in the direction that takes more units, since a loss is to be seen as well as a win (Cohen's h).
    """
    from statsmodels.stats.proportion import proportion_effectsize

    primary = spec.primary
    if primary.kind == "mean":
        assert primary.deviation is not None  # the spec asks for it
        return effect / primary.deviation
    targets = [one for one in (primary.baseline + effect, primary.baseline - effect) if 0 <= one <= 1]
    return min(abs(float(proportion_effectsize(one, primary.baseline))) for one in targets)


def _times_fixed(spec: ExperimentSpec) -> float:
    """Return how many times the units of a fixed test it takes to show the same effect with the same power at any time."""
    from scipy.special import ndtri

    from mlops_assets.experiment.sequential import variance_for_power

    if spec.analysis == "fixed":
        return 1.0
    fixed = (ndtri(1 - spec.alpha / 2) + ndtri(spec.power)) ** 2
    return float(1 / variance_for_power(1.0, tau=1.0, alpha=spec.alpha, power=spec.power) / fixed)


def _fits(spec: ExperimentSpec, times: float) -> bool:
    primary, effect = spec.primary, spec.primary.minimum_effect * times
    return primary.kind == "mean" or effect <= max(primary.baseline, 1 - primary.baseline)


def _warnings(spec: ExperimentSpec, size: Size, days: float | None) -> list[str]:
    unseen = "Nobody looks at it by itself, so that no broken guardrail stops it: write `experiment.schedule`."
    return [*_too_long(spec, size, days), *([] if spec.schedule else [unseen])]


def _too_long(spec: ExperimentSpec, size: Size, days: float | None) -> list[str]:
    if days is None or size.days is None:
        return ["How long it takes is not known: write `experiment.units_per_day`, or give --units-per-day."]
    if days <= spec.maximum_days:
        return []
    shown = spec.primary.minimum_effect * math.sqrt(days / spec.maximum_days)
    balanced = "" if spec.share == 0.5 else "a `share` of 0.5, "  # noqa: PLR2004  the cheapest split
    text = (
        f"It takes {days:.0f} days, and ends after `maximum_days: {spec.maximum_days:g}`, by when about {shown:.3g} can "
        f"be shown. Choose a larger `minimum_effect`, more units a day, {balanced}or more `maximum_days`."
    )
    return [text]
