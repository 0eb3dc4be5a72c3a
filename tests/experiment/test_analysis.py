"""What is concluded of many simulated experiments, and what is not."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import tea_tasting
from experiment.experiments import DAY, START, arm, experiment_of, most, seen, spec_of, within
from scipy.stats import chi2, ncx2, norm

from mlops_assets.experiment.analysis import look, sample_ratio_p
from mlops_assets.experiment.comparison import compare_always, compare_once, without_past
from mlops_assets.experiment.observed import Pair, Units
from mlops_assets.experiment.state import Comparison, with_look
from mlops_assets.rollout.evidence import Sample

MEAN = {"kind": "mean", "baseline": 20, "deviation": 15, "minimum_effect": 2}


def shares(rng, champion: float, challenger: float, size) -> tuple[np.ndarray, np.ndarray]:
    return (
        rng.binomial(1, champion, size.champion).astype(float),
        rng.binomial(1, challenger, size.challenger).astype(float),
    )


def test_a_fixed_experiment_shows_nothing_before_its_units_and_days_are_there() -> None:
    experiment = experiment_of(spec_of())
    size, rng = experiment.plan.size, np.random.default_rng(0)
    champion, challenger = shares(rng, 0.1, 0.9, size)

    short = look(experiment, seen(champion, challenger[:-5]), START + 8 * DAY)
    early = look(experiment, seen(champion, challenger), START + 6.5 * DAY)
    due = look(experiment, seen(champion, challenger), START + 8 * DAY)

    assert (short.verdict, short.primary, short.is_final) == ("not_yet", None, False)
    assert short.said == ("The challenger is short of 5 units with an outcome.",)
    assert (early.verdict, early.primary) == ("not_yet", None)
    assert early.said == ("It has to run for 0.5 more days.",)
    assert (due.verdict, due.is_final) == ("win", True)
    assert due.primary is not None
    assert due.primary.low > 0.7


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("primary", [{}, MEAN], ids=["share", "mean"])
def test_a_fixed_experiment_of_the_planned_size_has_the_planned_power(share: float, primary: dict) -> None:
    experiment, rng, experiments = experiment_of(spec_of(primary, share=share)), np.random.default_rng(4), 500
    spec, size = experiment.asked.primary, experiment.plan.size

    def draw(effect: float) -> tuple[np.ndarray, np.ndarray]:
        if spec.kind == "proportion":
            return shares(rng, spec.baseline, spec.baseline + effect, size)
        return rng.normal(20, 15, size.champion), rng.normal(20 + effect, 15, size.challenger)

    def verdicts(effect: float) -> list[str]:
        return [look(experiment, seen(*draw(effect)), START + 8 * DAY).verdict for _ in range(experiments)]

    wins, false = verdicts(spec.minimum_effect), verdicts(0.0)

    low, high = within(0.8, experiments)
    assert low <= wins.count("win") / experiments <= high
    assert wins.count("loss") == 0
    assert 1 - false.count("no_difference") / experiments <= most(0.05, experiments)


@pytest.mark.parametrize(
    ("primary", "larger_is_better"),
    [
        ({"larger_is_better": True}, True),
        ({"larger_is_better": False}, False),
        ({}, True),
        ({"source": "error"}, False),
    ],
)
def test_a_loss_is_told_from_a_win_by_what_is_better(primary: dict, larger_is_better: bool) -> None:
    experiment = experiment_of(spec_of(primary))
    observed = seen(*shares(np.random.default_rng(0), 0.2, 0.3, experiment.plan.size))

    found = look(experiment, observed, START + 8 * DAY)

    assert found.verdict == ("win" if larger_is_better else "loss")
    assert found.said[0].startswith(f"The challenger is {'better' if larger_is_better else 'worse'}: 0.")


def run(experiment, champion, challenger, days: int):
    """Look every day at as many units more, until a look is final; return that look and its day."""
    for day in range(1, days + 1):
        units = [values[: math.ceil(len(values) * day / days)] for values in (champion, challenger)]
        found = look(experiment, seen(*units), START + day * DAY)
        if found.is_final:
            return found, day
        experiment = with_look(experiment, found)
    return found, days


def test_a_sequential_experiment_of_the_planned_size_has_at_least_the_power_and_at_most_alpha() -> None:
    experiment, rng = experiment_of(spec_of(analysis="sequential", minimum_days=0)), np.random.default_rng(5)
    size, experiments = experiment.plan.size, 150

    wins = [run(experiment, *shares(rng, 0.2, 0.25, size), days=15) for _ in range(experiments)]
    false = [run(experiment, *shares(rng, 0.2, 0.2, size), days=15)[0].verdict for _ in range(experiments)]

    power = [found.verdict for found, _ in wins].count("win") / experiments
    assert power >= within(0.8, experiments)[0]
    assert np.mean([day for _, day in wins]) < 0.8 * 15
    assert 1 - false.count("no_difference") / experiments <= most(0.05, experiments)


def test_a_sequential_experiment_waits_for_its_days_and_forgets_nothing_meanwhile() -> None:
    experiment, rng = experiment_of(spec_of(analysis="sequential")), np.random.default_rng(6)
    clear, equal = seen(*(rng.binomial(1, p, 400).astype(float) for p in (0.2, 0.5))), rng.binomial(1, 0.2, 800) * 1.0

    first = look(experiment, clear, START + DAY)
    later = look(with_look(experiment, first), seen(equal, equal), START + 7 * DAY)

    assert (first.verdict, first.is_final) == ("not_yet", False)
    assert first.primary is not None
    assert later.primary is not None
    assert later.primary.p == first.primary.p <= 0.05
    assert (later.verdict, later.is_final) == ("win", True)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((-0.5, 0.1, 0.4), (0.2, 0.5), "positive"),  # nothing was shown yet
        ((0.2, 0.3, 0.001), (0.5, 0.2), "positive"),  # what was shown stays shown
        ((-0.3, -0.2, 0.001), (0.2, 0.2), "negative"),
        ((-0.4, 0.4, 0.4), (0.2, 0.5), "positive"),
    ],
)
def test_looks_that_contradict_each_other_leave_an_interval_that_says_what_was_shown_first(
    before: tuple[float, float, float], now: tuple[float, float], expected: str
) -> None:
    low, high, p = before
    last = Comparison(0.2, 0.2 + (low + high) / 2, (low + high) / 2, low, high, p)
    arms = [np.repeat([1.0, 0.0], [round(4000 * share), round(4000 * (1 - share))]) for share in now]

    found = compare_always(Pair(*map(Units, arms)), alpha=0.05, tau=0.05, last=last)

    assert found is not None
    assert found.p <= 0.05
    assert found.low > 0 if expected == "positive" else found.high < 0


def test_what_is_not_decided_ends_after_the_maximum_and_says_what_it_rules_out() -> None:
    experiment = experiment_of(spec_of(maximum_days=10))
    rng = np.random.default_rng(1)
    few = seen(*(rng.binomial(1, 0.2, 300).astype(float) for _ in range(2)))
    many = seen(*(rng.binomial(1, 0.2, 30_000).astype(float) for _ in range(2)))

    assert look(experiment, few, START + 9.9 * DAY).verdict == "not_yet"
    ended = look(experiment, few, START + 10 * DAY)
    assert (ended.verdict, ended.is_final) == ("no_difference", True)
    assert "One of 0.05 is not ruled out either." in ended.said[0]
    assert "One of 0.05 or more is ruled out." in look(experiment, many, START + 8 * DAY).said[0]
    nothing = look(experiment, seen(np.zeros(5), np.ones(5)), START + 10 * DAY)
    assert (nothing.verdict, nothing.primary) == ("no_difference", None)


@pytest.mark.parametrize("analysis", ["fixed", "sequential"])
def test_units_that_fell_wrongly_leave_nothing_to_conclude(analysis: str) -> None:
    experiment = experiment_of(spec_of(analysis=analysis))
    observed = seen(*shares(np.random.default_rng(0), 0.2, 0.4, experiment.plan.size))
    crooked = replace(observed, sample=Sample(arm(5200), arm(4800), observed.sample.both))

    early = look(experiment, crooked, START + DAY)
    due = look(experiment, crooked, START + 8 * DAY)

    assert (early.verdict, early.is_final) == ("invalid", False)
    assert (due.verdict, due.is_final) == ("invalid", True)
    assert look(experiment, observed, START + 8 * DAY).verdict == "win"


def test_the_sample_ratio_alarm_is_rare_and_sees_48_to_52() -> None:
    rng, experiments, units = np.random.default_rng(8), 1000, 10_000

    def alarms(share: float) -> float:
        drawn = rng.binomial(units, share, experiments)
        return float(np.mean([sample_ratio_p((units - one, one), 0.5) < 0.001 for one in drawn]))  # type: ignore[operator]

    assert alarms(0.5) <= most(0.001, experiments)
    expected = ncx2.sf(chi2.isf(0.001, 1), 1, units * (0.04**2))
    low, high = within(expected, experiments)
    assert low <= alarms(0.52) <= high
    assert expected > 0.7
    assert sample_ratio_p((4, 4), 0.5) is None
    assert sample_ratio_p((9500, 500), 0.05) == 1


def clustered(rng, units: int, rows: int) -> np.ndarray:
    """Return the rows of units that differ more among themselves than their rows do, units by rows."""
    return (rng.random((units, rows)) < rng.beta(0.4, 1.6, (units, 1))).astype(float)


def test_units_with_many_rows_do_not_fool_it_as_rows_do() -> None:
    rng, experiments, by_unit, by_row = np.random.default_rng(9), 600, 0, 0
    for _ in range(experiments):
        arms = [clustered(rng, 300, 20) for _ in range(2)]
        p = compare_once(Pair(*(Units(rows.mean(axis=1)) for rows in arms)), alpha=0.05).p
        by_unit += p <= 0.05
        shown = [rows.mean() for rows in arms]
        deviation = math.sqrt(sum(mean * (1 - mean) / 6000 for mean in shown))
        by_row += abs(shown[1] - shown[0]) / deviation > norm.isf(0.025)

    assert by_unit / experiments <= most(0.05, experiments)
    assert by_row / experiments > 0.3


def test_units_that_come_back_do_not_fool_the_daily_looks() -> None:
    rng, experiments, shown = np.random.default_rng(10), 1000, 0
    for _ in range(experiments):
        arms, last = [clustered(rng, 600, 10).cumsum(axis=1) for _ in range(2)], None
        for day in range(1, 11):  # 60 new units a day, and one more row of those before
            at = np.arange(60 * day)
            rows = day - at // 60
            units = [Units(one[at, rows - 1] / rows) for one in arms]
            last = compare_always(Pair(*units), alpha=0.05, tau=0.05, last=last)
        shown += last.p <= 0.05

    assert shown / experiments <= most(0.05, experiments)


def pasts(rng, units: int, rho: float, effect: float = 0.0) -> Pair:
    def one(shift: float) -> Units:
        before = rng.normal(size=units)
        return Units(shift + rho * before + math.sqrt(1 - rho**2) * rng.normal(size=units), before)

    return Pair(one(0.0), one(effect))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_cuped_takes_out_the_square_of_the_correlation_and_keeps_alpha(rho: float) -> None:
    rng, experiments = np.random.default_rng(11), 600

    found = [compare_once(pasts(rng, 200, rho), alpha=0.05) for _ in range(experiments)]

    assert np.mean([one.reduction for one in found]) == pytest.approx(rho**2, abs=0.01)
    assert np.var([one.difference for one in found]) == pytest.approx(2 / 200 * (1 - rho**2), rel=0.2)
    low, high = within(0.05, experiments)
    assert low <= np.mean([one.p <= 0.05 for one in found]) <= high


@pytest.mark.parametrize("uses_past", [True, False])
def test_means_and_cuped_are_those_of_tea_tasting(uses_past: bool) -> None:
    pair = pasts(np.random.default_rng(12), 500, 0.7, effect=0.1)
    rows = {
        "y": np.concatenate([pair.champion.outcomes, pair.challenger.outcomes]),
        "x": np.concatenate([pair.champion.before, pair.challenger.before]),
        "arm": np.repeat([0, 1], 500),
    }
    if not uses_past:
        pair = Pair(Units(pair.champion.outcomes), Units(pair.challenger.outcomes))

    theirs = tea_tasting.Mean("y", "x" if uses_past else None).analyze(pa.table(rows), 0, 1, "arm")
    ours = compare_once(pair, alpha=0.05)

    assert ours.difference == pytest.approx(theirs.effect_size)
    assert (ours.low, ours.high) == pytest.approx((theirs.effect_size_ci_lower, theirs.effect_size_ci_upper))
    assert ours.p == pytest.approx(theirs.pvalue)


def test_a_unit_without_a_past_keeps_its_outcome() -> None:
    pair = pasts(np.random.default_rng(13), 300, 0.8)
    pair.champion.before[:100] = np.nan

    champion, _, reduction = without_past(pair)

    assert champion[:100] == pytest.approx(pair.champion.outcomes[:100])
    assert 0.4 < reduction < 0.64
    alone = Pair(*(Units(one.outcomes, np.full(300, np.nan)) for one in (pair.champion, pair.challenger)))
    assert without_past(alone)[2] == 0
    assert without_past(alone)[1] == pytest.approx(pair.challenger.outcomes)
