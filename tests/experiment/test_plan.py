"""Plans against the tables of the field, and against experiments of the planned size."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from statsmodels.stats.power import zt_ind_solve_power
from statsmodels.stats.proportion import proportion_effectsize

from mlops_assets.experiment.comparison import compare_once
from mlops_assets.experiment.observed import Pair, Units
from mlops_assets.experiment.plan import MIN_UNITS, curve, plan, size_for
from mlops_assets.experiment.spec import ExperimentSpec


def spec_of(primary: dict | None = None, **changes: object) -> ExperimentSpec:
    return ExperimentSpec.model_validate(
        {"primary": {"baseline": 0.2, "minimum_effect": 0.01, **(primary or {})}, **changes}
    )


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_share_takes_what_the_solver_of_statsmodels_finds(share: float) -> None:
    size = plan(spec_of(share=share)).size

    found = zt_ind_solve_power(
        effect_size=proportion_effectsize(0.21, 0.2), alpha=0.05, power=0.8, ratio=share / (1 - share)
    )
    assert size.champion == pytest.approx(found, abs=2)
    assert size.challenger == pytest.approx(found * share / (1 - share), abs=2)
    assert size.days is None


def test_twenty_to_twenty_one_percent_takes_25581_units_an_arm() -> None:
    """As the guide says; by the formula of any textbook."""
    h = 2 * (np.arcsin(0.21**0.5) - np.arcsin(0.2**0.5))
    assert plan(spec_of()).size.champion == np.ceil(2 * ((norm.isf(0.025) + norm.ppf(0.8)) / h) ** 2) == 25_581


@pytest.mark.parametrize("share", [0.001, 0.5, 0.9])
@pytest.mark.parametrize("analysis", ["fixed", "sequential"])
@pytest.mark.parametrize(
    "primary", [{"minimum_effect": 0.8}, {"kind": "mean", "deviation": 1, "minimum_effect": 1e4}], ids=["share", "mean"]
)
def test_however_large_the_effect_it_takes_as_many_units_as_the_analysis_needs(
    primary: dict, analysis: str, share: float
) -> None:
    spec = spec_of(primary, share=share, analysis=analysis)
    size = plan(spec).size

    assert MIN_UNITS <= min(size.champion, size.challenger) <= MIN_UNITS + 1
    assert size.challenger / size.units == pytest.approx(share, rel=0.02)
    arms = [np.repeat([0.0, 1.0], [units - units // 3, units // 3]) for units in (size.champion, size.challenger)]
    assert compare_once(Pair(*map(Units, arms)), alpha=0.05) is not None


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_mean_takes_what_the_closed_form_says(share: float) -> None:
    spec = spec_of({"kind": "mean", "baseline": 20, "deviation": 15, "minimum_effect": 0.5}, share=share)

    size = plan(spec).size

    per_unit = 15**2 * (norm.isf(0.025) + norm.ppf(0.8)) ** 2 / 0.5**2  # variance d**2 of 1/n0 + 1/n1
    assert 1 / (1 / size.champion + 1 / size.challenger) == pytest.approx(per_unit, rel=1e-3)
    assert size.challenger / size.units == pytest.approx(share, abs=1e-3)


def test_of_a_share_the_direction_counts_that_takes_more() -> None:
    assert size_for(spec_of({"baseline": 0.8}), 0.01) == size_for(spec_of({"baseline": 0.2}), 0.01)
    assert size_for(spec_of({"baseline": 0.0, "minimum_effect": 0.01}), 0.01).champion > 0


def test_guardrails_do_not_change_the_size() -> None:
    rails = [{"name": "error_share", "margin": 0.01}, {"name": "latency_p99", "margin": 0.5}]

    assert plan(spec_of(guardrails=rails)) == plan(spec_of())


def test_sequential_says_how_much_more_it_may_take() -> None:
    fixed, sequential = plan(spec_of()), plan(spec_of(analysis="sequential"))

    assert 1.8 < sequential.times_fixed < 2.1
    assert sequential.size.units == pytest.approx(fixed.size.units * sequential.times_fixed, rel=1e-4)
    assert 0.4 < sequential.expected_share < 0.7
    assert fixed.times_fixed == fixed.expected_share == 1


def test_days_follow_from_units_a_day_and_are_never_below_the_minimum() -> None:
    assert plan(spec_of(), units_per_day=4000).days == pytest.approx(51_162 / 4000)
    assert plan(spec_of(units_per_day=100_000)).days == 7
    assert "units_per_day" in plan(spec_of()).warnings[0]
    assert plan(spec_of(schedule="0 6 * * *"), units_per_day=4000).warnings == ()
    assert "`experiment.schedule`" in plan(spec_of(), units_per_day=4000).warnings[0]


def test_a_plan_that_is_too_long_says_what_could_be_shown_in_time() -> None:
    spec = spec_of(share=0.1, maximum_days=28)

    planned = plan(spec, units_per_day=1000)

    assert planned.days > 28
    in_time = size_for(spec, 0.01 * np.sqrt(planned.days / 28), 1000).days
    assert in_time == pytest.approx(28, rel=0.05)
    assert "`share` of 0.5" in planned.warnings[0]


def test_smaller_effects_cost_by_the_square() -> None:
    sizes = curve(spec_of(), units_per_day=1000)

    assert [size.effect for size in sizes] == pytest.approx([0.005, 0.0075, 0.01, 0.015, 0.02])
    assert sizes[0].units == pytest.approx(4 * sizes[2].units, rel=0.03)
    assert sizes[0].days == pytest.approx(sizes[0].units / 1000)
    assert [one.effect for one in curve(spec_of({"baseline": 0.5, "minimum_effect": 0.3}))] == pytest.approx(
        [0.15, 0.225, 0.3, 0.45]
    )


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_experiments_of_the_planned_size_have_the_planned_power(share: float) -> None:
    size, experiments = plan(spec_of({"minimum_effect": 0.02}, share=share)).size, 4000
    rng = np.random.default_rng(3)
    p0 = rng.binomial(size.champion, 0.2, experiments) / size.champion
    p1 = rng.binomial(size.challenger, 0.22, experiments) / size.challenger

    z = (p1 - p0) / np.sqrt(p0 * (1 - p0) / size.champion + p1 * (1 - p1) / size.challenger)

    low, high = binom.ppf([1e-4, 1 - 1e-4], experiments, 0.8) / experiments
    assert low <= (np.abs(z) > norm.isf(0.025)).mean() <= high
