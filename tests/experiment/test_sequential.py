"""The always-valid tests against integration, and over many simulated experiments that are looked at all the time."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid
from scipy.stats import binom, norm

from mlops_assets.experiment.sequential import (
    breach_p_values,
    expected_share,
    log_ratio,
    p_values,
    radius,
    variance_for_power,
)

EXPERIMENTS, LOOKS, ALPHA = 4000, 100, 0.05
SURE = 1e-4  # how rarely a right test may fail, had the seed been another

effects, variances, taus = st.floats(-3, 3), st.floats(0.01, 4), st.floats(0.05, 3)


def most(alpha: float, experiments: int = EXPERIMENTS) -> float:
    """Return the share of false positives that a test of level alpha does not exceed."""
    return binom.ppf(1 - SURE, experiments, alpha) / experiments


def least(power: float, experiments: int = EXPERIMENTS) -> float:
    return binom.ppf(SURE, experiments, power) / experiments


@cache
def peeked(difference: float, units: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """Return the estimate of a difference and its variance at 100 looks, for each of many experiments on real shares."""
    rng, step = np.random.default_rng(7), units // LOOKS
    champion = rng.binomial(step, 0.2, (EXPERIMENTS, LOOKS)).cumsum(axis=1)
    challenger = rng.binomial(step, 0.2 + difference, (EXPERIMENTS, LOOKS)).cumsum(axis=1)
    seen = step * np.arange(1, LOOKS + 1)
    p0, p1 = champion / seen, challenger / seen
    smoothed = [(count + 1) / (seen + 2) for count in (champion, challenger)]
    return p1 - p0, sum(p * (1 - p) / seen for p in smoothed)


@given(effects, variances, taus)
def test_the_mixture_is_the_integral_over_its_prior(effect: float, variance: float, tau: float) -> None:
    theta, step = np.linspace(0, 10 * tau + 4, 20_001, retstep=True)
    positive, negative = (
        np.exp(norm.logpdf(sign * theta, 0, tau) + (sign * theta * effect - theta**2 / 2) / variance)
        for sign in (1, -1)
    )
    half = 2 * trapezoid(positive, dx=step)
    whole = trapezoid(positive, dx=step) + trapezoid(negative, dx=step)

    assert np.exp(log_ratio(effect, variance, tau=tau)[0]) == pytest.approx(whole, rel=1e-6)
    assert breach_p_values(np.array([effect]), variance, tau=tau)[0] == pytest.approx(min(1, 1 / half), rel=1e-5)


@given(variances, taus, st.floats(0.001, 0.2))
def test_the_interval_leaves_out_zero_exactly_when_the_p_value_is_below_alpha(variance, tau, alpha) -> None:
    half = radius(variance, tau=tau, alpha=alpha)

    assert p_values(half * 1.001, variance, tau=tau)[0] < alpha < p_values(half * 0.999, variance, tau=tau)[0]


def test_what_was_shown_once_stays_shown() -> None:
    values = p_values(np.array([0.0, 3.0, 0.5, 0.0]), np.array([1.0, 0.5, 0.3, 0.2]), tau=1.0)

    assert (np.diff(values) <= 0).all()
    assert values[-1] == values[1] < values[0]


def test_a_hundred_peeks_at_equal_arms_find_a_difference_no_more_often_than_alpha() -> None:
    difference, variance = peeked(0.0)

    for tau in (0.01, 0.03, 0.1):
        assert (p_values(difference, variance, tau=tau)[:, -1] <= ALPHA).mean() <= most(ALPHA)


def test_the_same_peeks_fool_a_fixed_test_many_times_as_often() -> None:
    difference, variance = peeked(0.0)

    naive = 2 * norm.sf(np.abs(difference) / np.sqrt(variance))

    assert (naive[:, -1] <= ALPHA).mean() <= most(ALPHA)  # one look is fine
    assert (naive.min(axis=1) <= ALPHA).mean() > 0.3


def test_peeks_at_an_excess_of_nothing_or_less_breach_no_more_often_than_alpha() -> None:
    difference, variance = peeked(0.0)

    for alpha in (0.01, 0.1):
        assert (breach_p_values(difference, variance, tau=0.03)[:, -1] <= alpha).mean() <= most(alpha)
        assert (breach_p_values(difference - 0.02, variance, tau=0.03)[:, -1] <= alpha).mean() <= alpha / 10


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.01, 0.9)])
def test_the_planned_variance_gives_the_power_by_the_last_look_alone(alpha: float, power: float) -> None:
    variance = variance_for_power(0.3, tau=0.3, alpha=alpha, power=power)

    shown = norm.sf((float(radius(variance, tau=0.3, alpha=alpha)[0]) - 0.3) / np.sqrt(variance))

    assert shown == pytest.approx(power, abs=1e-9)


def test_a_true_effect_ends_it_early() -> None:
    variance = variance_for_power(1.0, tau=1.0, alpha=ALPHA, power=0.8)

    shares = [expected_share(effect, variance, tau=1.0, alpha=ALPHA, looks=30) for effect in (0, 1, 2)]

    assert shares[0] > 0.97
    assert 0.75 > shares[1] > 2 * shares[2]


def test_the_prior_that_the_plan_takes_needs_nearly_the_fewest_units() -> None:
    units = {times: 1 / variance_for_power(1.0, tau=times, alpha=ALPHA, power=0.8) for times in (0.1, 0.7, 1.0, 10.0)}

    assert units[1.0] <= 1.03 * min(units.values())
    assert units[0.1] > 1.3 * units[1.0] < units[10.0]
