"""Each metric against another library, a closed form or brute force, and what all of them say where they cannot speak."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import binomtest, chisquare, fisher_exact, norm, ttest_ind
from statsmodels.stats.proportion import test_proportions_2indep as two_proportions

from mlops_assets.rollout.alarms import error_share, failing_errors, null_share, sample_ratio
from mlops_assets.rollout.evidence import ArmSample, Sample
from mlops_assets.rollout.judging import judge
from mlops_assets.rollout.label_metric import is_ever_above, label
from mlops_assets.rollout.latency import latency_p99
from mlops_assets.rollout.prediction_shift import binned, paired_psi, prediction_shift
from mlops_assets.rollout.spec import (
    ErrorShareSpec,
    LabelSpec,
    LatencySpec,
    MetricsSpec,
    NullShareSpec,
    PredictionShiftSpec,
    SampleRatioSpec,
)

NONE = np.empty(0)


def arm(requests=0, errors=0, *, units=0, features=0, nulls=0, latency=NONE, outcomes=NONE):
    return ArmSample(requests, errors, units, features, nulls, np.asarray(latency, float), np.asarray(outcomes, float))


def shifted(champion, challenger, **more):
    return Sample(arm(), arm(), (np.asarray(champion, float), np.asarray(challenger, float)), **more)


def rng(seed=0):
    return np.random.default_rng(seed)


# errors


@given(
    st.integers(0, 60), st.integers(1, 400), st.integers(0, 40), st.integers(0, 3000), st.sampled_from([0.001, 0.05])
)
@settings(max_examples=150)
def test_errors_fail_as_fisher_or_the_binomial_test_says(errors, more, other_errors, other_more, alpha):
    requests, other = errors + more, other_errors + other_more
    said = error_share(arm(other, other_errors), arm(requests, errors), ErrorShareSpec(alpha=alpha), is_alone=True)
    table = [[errors, requests - errors], [other_errors, other_more]]
    beside = fisher_exact(table, alternative="greater").pvalue < alpha
    alone = binomtest(errors, requests, 0.05, alternative="greater").pvalue < alpha
    assert (said.outcome == "fail") == (beside or alone)
    assert said.value == errors / requests


@pytest.mark.parametrize(
    ("requests", "other"), [(5, (0, 0)), (500, (20, 9500)), (400, (2, 400)), (100, (30, 100)), (1, (0, 10))]
)
def test_the_limit_of_errors_is_the_least_share_that_fails(requests, other):
    champion, spec = arm(other[1], other[0]), ErrorShareSpec()
    failing = [
        e for e in range(requests + 1) if error_share(champion, arm(requests, e), spec, is_alone=True).outcome == "fail"
    ]
    assert failing_errors(other, requests, spec) == (failing[0] if failing else None)
    assert failing == list(range(failing[0], requests + 1)) if failing else True


def units_of(requests, errors):
    """Return an arm of units with so many requests and errors each."""
    errors, requests = np.asarray(errors), np.asarray(requests)
    return replace(arm(requests.sum(), errors.sum(), units=len(requests)), unit_errors=(errors, requests))


def test_errors_of_one_heavy_unit_are_its_own_and_errors_of_many_are_the_challengers():
    champion, one, many = np.full(1900, 10), np.zeros(100, int), np.zeros(100, int)
    one[0], many[:10] = 10, 1
    champion = units_of(champion, np.arange(1900) < 19)
    spec = ErrorShareSpec()
    assert error_share(champion, units_of(np.full(100, 10), many), spec, is_alone=False).outcome == "fail"
    said = error_share(champion, units_of(np.full(100, 10), one), spec, is_alone=False)
    assert (said.outcome, said.value) == ("pass", 0.01)
    assert said.said.startswith(
        "10 of 1,000 (1.00%) requests failed, which weigh as 99 because units are alike; champion"
    )
    shadow = error_share(champion, units_of(np.full(100, 10), one), spec, is_alone=False, is_shadow=True)
    assert shadow.outcome == "fail", "on the same requests it is the challenger that fails"


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_units_of_one_request_each_change_nothing_and_units_that_are_alike_never_make_a_failure(units):
    requests, errors = np.array([[size, min(size, failed)] for size, failed in units]).T
    champion, spec = units_of(np.ones(3000, int), np.arange(3000) < 5), ErrorShareSpec()
    clustered = error_share(champion, units_of(requests, errors), spec, is_alone=False)
    single = units_of(np.ones(requests.sum(), int), np.arange(requests.sum()) < errors.sum())
    apart = error_share(champion, single, spec, is_alone=False)
    assert apart == error_share(arm(3000, 5), arm(requests.sum(), errors.sum()), spec, is_alone=False)
    assert apart.outcome == "fail" or clustered.outcome != "fail"


def population(seed, size=200, minutes=200):
    """Return the requests and errors of units of unequal size and faults, in both arms of an equal split."""
    own = rng(seed)
    rate, fault = own.lognormal(0, 1, size), 0.01 * own.gamma(0.25, 4, size)
    requests = own.poisson(rate * minutes) + 1
    both = units_of(requests, own.binomial(requests, np.minimum(fault, 1)))
    return [
        units_of(*(part[arm] for part in reversed(both.unit_errors)))
        for arm in (slice(None, None, 2), slice(1, None, 2))
    ]


def test_an_equal_challenger_does_not_fail_for_the_units_that_fell_to_it():
    spec, cases = ErrorShareSpec(alpha=0.01, max=1), 300
    pairs = [population(seed) for seed in range(cases)]
    failed = sum(error_share(*pair, spec, is_alone=False).outcome == "fail" for pair in pairs)
    plain = sum(error_share(*pair, spec, is_alone=False, is_shadow=True).outcome == "fail" for pair in pairs)
    assert failed <= 0.02 * cases
    assert plain > 0.1 * cases


def test_one_error_in_few_requests_is_no_failure_and_fewer_errors_never_are():
    spec = ErrorShareSpec()
    assert error_share(arm(1000), arm(5, 1), spec, is_alone=False).outcome == "inconclusive"
    assert error_share(arm(10_000, 500), arm(10_000, 0), spec, is_alone=False).outcome == "pass"
    assert error_share(arm(0), arm(500, 0), spec, is_alone=False).outcome == "no_data"
    assert error_share(arm(0), arm(500, 0), spec, is_alone=True).outcome == "pass"
    assert error_share(arm(500), arm(0), spec, is_alone=False).outcome == "no_data"
    said = error_share(arm(19_000, 38), arm(1000, 30), spec, is_alone=False)
    assert said.said == "30 of 1,000 (3.00%) requests failed; champion 38 of 19,000 (0.20%)."


# latency


def slow(seed, size, factor=1.0):
    return factor * rng(seed).lognormal(0, 0.5, size)


@pytest.mark.parametrize(("own", "other"), [(1000, 5000), (5000, 500)])
def test_a_ratio_at_its_limit_fails_in_at_most_alpha_of_the_cases(own, other):
    spec, cases = LatencySpec(alpha=0.05), 300
    arms = [(arm(latency=slow(seed, other)), arm(latency=slow(10_000 + seed, own, 1.25))) for seed in range(cases)]
    failed = sum(latency_p99(*pair, spec, is_alone=False).outcome == "fail" for pair in arms)
    assert binomtest(failed, cases, spec.alpha, alternative="greater").pvalue > 0.001


def test_a_much_slower_challenger_fails_and_an_equal_one_does_not():
    champion = arm(latency=slow(1, 9500))
    said = latency_p99(champion, arm(latency=slow(2, 800, 1.8)), LatencySpec(), is_alone=False)
    assert said.outcome == "fail"
    assert said.value == pytest.approx(np.quantile(slow(2, 800, 1.8), 0.99) / np.quantile(slow(1, 9500), 0.99))
    assert latency_p99(champion, arm(latency=slow(3, 800)), LatencySpec(), is_alone=False).outcome == "pass"
    assert latency_p99(champion, arm(latency=slow(2, 800, 1.8)), LatencySpec(), is_alone=True) == said


def test_a_champion_of_few_requests_bounds_nothing():
    # the greatest of n is above the 99th percentile with 1 - 0.99^n: 0.9995 from 757 on
    for requests, outcome in (756, "no_data"), (757, "pass"):
        latency = np.arange(requests, dtype=float)
        said = latency_p99(arm(latency=latency), arm(latency=latency), LatencySpec(), is_alone=False)
        assert said.outcome == outcome
    assert latency_p99(arm(latency=[1]), arm(latency=[1]), LatencySpec(), is_alone=True).outcome == "pass"
    assert latency_p99(arm(), arm(), LatencySpec(), is_alone=True).outcome == "no_data"


@pytest.mark.parametrize("count", range(18, 25))
def test_slow_requests_are_counted_as_the_binomial_test_says(count):
    spec = LatencySpec(max_ms=10)
    said = latency_p99(arm(), arm(latency=[20] * count + [1] * (1000 - count)), spec, is_alone=True)
    assert (said.outcome == "fail") == (binomtest(count, 1000, 0.01, alternative="greater").pvalue < spec.alpha)


def test_an_absolute_limit_holds_whatever_the_champion_does():
    spec = LatencySpec(max_ms=10)
    both = arm(latency=[*[1] * 950, *[20] * 50])
    said = latency_p99(both, both, spec, is_alone=False)
    assert (said.outcome, said.value, said.limit) == ("fail", 20, 10)
    assert latency_p99(arm(), both, spec, is_alone=True).outcome == "fail"
    assert latency_p99(arm(), arm(latency=[1] * 99 + [20]), spec, is_alone=True).outcome == "pass"
    assert latency_p99(arm(), arm(latency=[1] * 90 + [20] * 2), spec, is_alone=True).outcome == "inconclusive"


def test_slow_requests_of_one_heavy_unit_are_its_own():
    champion = replace(arm(latency=slow(1, 9500)), latency_units=np.arange(9500) // 10)
    times, units = slow(2, 1000), np.arange(1000) // 10
    times[:40] *= 100
    few = replace(arm(latency=times), latency_units=np.where(np.arange(1000) < 40, 0, units))
    assert latency_p99(champion, few, LatencySpec(), is_alone=False).outcome == "inconclusive"
    assert latency_p99(champion, few, LatencySpec(), is_alone=False, is_shadow=True).outcome == "fail"
    times[:40], times[::25] = slow(2, 1000)[:40], 100
    assert latency_p99(champion, replace(few, latency_ms=times), LatencySpec(), is_alone=False).outcome == "fail"
    one_each = [replace(one, latency_units=np.arange(len(one.latency_ms))) for one in (champion, few)]
    alone = [replace(one, latency_units=None) for one in (champion, few)]
    assert latency_p99(*one_each, LatencySpec(), is_alone=False) == latency_p99(*alone, LatencySpec(), is_alone=False)


def test_a_champion_whose_slow_requests_are_of_one_unit_bounds_nothing():
    times = np.where(np.arange(2000) < 30, 50.0, 1.0)
    champion = replace(arm(latency=times), latency_units=np.where(np.arange(2000) < 30, 0, np.arange(2000)))
    said = latency_p99(champion, arm(latency=times), LatencySpec(), is_alone=False)
    assert said.outcome == "no_data"
    assert "2,000 requests of the champion, of one unit alike, do not bound its own" in said.said


# shift of predictions


@pytest.mark.parametrize("scores", [[0.1] * 300, np.linspace(0, 1, 300), [np.nan] * 300, [0.0] * 290 + [1.0] * 10])
@pytest.mark.parametrize("is_categorical", [False, True])
def test_identical_arms_have_no_shift(scores, is_categorical):
    said = prediction_shift(
        shifted(scores, scores, is_categorical=is_categorical), PredictionShiftSpec(), is_shadow=True
    )
    assert (said.outcome, said.value) == ("pass", 0)


def test_without_shift_the_psi_of_few_independent_rows_is_about_nothing():
    draws = [rng(seed).normal(size=(2, 200)) for seed in range(300)]
    corrected = [prediction_shift(shifted(*pair), PredictionShiftSpec(max_psi=0.05), is_shadow=True) for pair in draws]
    assert np.mean([one.value for one in corrected]) < 0.03
    assert np.mean([one.outcome == "pass" for one in corrected]) > 0.85
    assert not any(one.outcome == "fail" for one in corrected)


def test_what_chance_adds_is_taken_off_on_average():
    p, size = np.array([0.2, 0.3, 0.5]), 500  # PSI without shift is (bins - 1) x 2 / rows on average
    plain, value = [], []
    for seed in range(2000):
        champion, challenger = rng(seed).choice(3, size=(2, size), p=p)
        a, b = (np.bincount(one, minlength=3) / size for one in (champion, challenger))
        plain.append(((b - a) * np.log(b / a)).sum())
        value.append(paired_psi(champion, challenger, 3)[0])
    assert np.mean(plain) == pytest.approx(2 * 2 / size, rel=0.1)
    assert np.mean(value) < np.mean(plain) / 2  # never below 0, so that its mean is above


def test_what_is_taken_off_is_the_variance_of_each_bins_difference():
    champion, challenger = np.repeat([0, 0, 1, 2, 2], 20), np.repeat([0, 1, 1, 2, 0], 20)
    p, q = (np.bincount(one) / 100 for one in (champion, challenger))
    differences = [(challenger == one).astype(float) - (champion == one) for one in range(3)]
    expected = sum(one.var() / 100 / middle for one, middle in zip(differences, (p + q) / 2, strict=True))
    plain = ((q - p) * np.log(q / p)).sum()
    assert paired_psi(champion, challenger, 3)[0] == pytest.approx(plain - expected, rel=1e-9)


def test_many_rows_have_the_psi_of_the_closed_form_and_its_spread():
    size, p, q = 2000, np.array([0.5, 0.5]), np.array([0.4, 0.6])
    draws = [
        paired_psi(rng(seed).choice(2, size, p=p), rng(9999 + seed).choice(2, size, p=q), 2) for seed in range(400)
    ]
    values, errors = np.array(draws).T
    assert values.mean() == pytest.approx(
        0.1 * np.log(0.6 / 0.4 * 0.5 / 0.5 * 1.0) * 0 + ((q - p) * np.log(q / p)).sum(), rel=0.05
    )
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)


@pytest.mark.parametrize(
    "wrong", [lambda s: np.full_like(s, 0.2), np.zeros_like, lambda s: s + 1, lambda s: s * np.nan]
)
def test_wrong_scores_fail_at_the_first_look(wrong):
    scores = rng().beta(2, 8, 300)
    said = prediction_shift(shifted(scores, wrong(scores)), PredictionShiftSpec(), is_shadow=True)
    assert said.outcome == "fail"
    assert (
        prediction_shift(shifted(np.full(300, 0.2), np.full(300, 0.1)), PredictionShiftSpec(), is_shadow=True).outcome
        == "fail"
    )


def test_classes_are_compared_as_classes():
    champion = np.tile([0, 1, 2], 100)
    said = prediction_shift(
        shifted(champion, np.zeros(300), is_categorical=True), PredictionShiftSpec(), is_shadow=True
    )
    assert said.outcome == "fail"
    assert "disagree on 66.7% of the classes" in said.said
    swapped = shifted(champion, np.tile([1, 2, 0], 100), is_categorical=True)
    assert prediction_shift(swapped, PredictionShiftSpec(), is_shadow=True).value == 0


def test_tenths_of_the_champion_are_filled_alike_and_a_frequent_score_stands_alone():
    position, _, bins = binned(rng().normal(size=1000), np.empty(0), is_categorical=False)
    assert np.bincount(position, minlength=bins).tolist() == [100] * 10
    zeros = np.concatenate([np.zeros(500), rng().normal(size=500)])
    position, _, _ = binned(zeros, np.empty(0), is_categorical=False)
    assert (position == position[0]).sum() == 500


def test_few_rows_are_no_data_in_the_shadow_and_no_matter_elsewhere():
    few = shifted([0.5] * 199, [0.5] * 199)
    assert prediction_shift(few, PredictionShiftSpec(), is_shadow=True).outcome == "no_data"
    assert prediction_shift(few, PredictionShiftSpec(), is_shadow=False) is None


# missing features


@given(st.integers(10, 500), st.floats(0, 1), st.integers(10, 5000), st.floats(0, 1))
@settings(max_examples=150)
def test_missing_features_fail_as_two_proportions_with_a_margin_do(own, share, other, other_share):
    nulls, others = round(own * share), round(other * other_share)
    spec = NullShareSpec(alpha=0.01)
    said = null_share(
        arm(other, units=other, features=other, nulls=others),
        arm(own, units=own, features=own, nulls=nulls),
        spec,
        is_alone=False,
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # it works out an odds ratio too, which nobody asked for
        p = two_proportions(nulls, own, others, other, value=0.05, method="agresti-caffo", alternative="larger").pvalue
    increase = nulls / own - others / other
    assert said.value == pytest.approx(increase)
    expected = "pass" if increase <= 0.05 else "fail" if p < 0.01 else "inconclusive"
    assert said.outcome == expected


def test_values_of_few_units_weigh_as_few():
    champion = arm(10_000, units=10_000, features=200_000, nulls=2000)
    missing = dict(requests=500, features=10_000, nulls=2000)
    assert null_share(champion, arm(**missing, units=500), NullShareSpec(), is_alone=False).outcome == "fail"
    assert null_share(champion, arm(**missing, units=5), NullShareSpec(), is_alone=False).outcome == "inconclusive"
    assert null_share(arm(10), arm(10), NullShareSpec(), is_alone=False) is None
    assert null_share(arm(10), arm(), NullShareSpec(), is_alone=False).outcome == "no_data"


# who fell to which arm


@pytest.mark.parametrize(
    ("own", "other", "share"), [(600, 9400, 0.05), (497, 9503, 0.05), (2500, 2480, 0.5), (2700, 2400, 0.5)]
)
def test_units_fall_to_the_arms_as_chi_squared_says(own, other, share):
    said = sample_ratio(arm(units=other), arm(units=own), SampleRatioSpec(), share=share)
    test = chisquare([own, other], [share * (own + other), (1 - share) * (own + other)])
    assert said.value == pytest.approx(test.statistic)
    assert (said.outcome == "fail") == (test.pvalue < 0.001)


@pytest.mark.parametrize(("own", "other"), [(0, 16), (3, 13), (3, 7), (6, 30), (4, 4)])
def test_few_units_are_judged_exactly(own, other):
    said = sample_ratio(arm(units=other), arm(units=own), SampleRatioSpec(), share=0.05)
    assert (said.outcome == "fail") == (binomtest(own, own + other, 0.05).pvalue < 0.001)
    assert (said.value > said.limit) == (said.outcome == "fail")


def test_a_share_is_expected_in_whole_buckets():
    said = sample_ratio(arm(units=99_990), arm(units=10), SampleRatioSpec(), share=0.00014)
    assert (said.value, said.outcome) == (pytest.approx(0), "pass")


# labels


@given(st.integers(0, 10_000), st.integers(20, 400), st.integers(20, 400), st.floats(-0.3, 0.3))
@settings(max_examples=100)
def test_labels_pass_as_welch_says_of_the_margin(seed, own, other, difference):
    a, b = rng(seed).normal(difference, 0.3, own), rng(seed + 1).normal(0, 0.5, other)
    sample = Sample(arm(outcomes=b), arm(outcomes=a), (NONE, NONE), labelled=1000)
    for larger, sign in ((True, -1), (False, 1)):
        spec = LabelSpec(metric="label", larger_is_better=larger, margin=0.1)
        said = label(sample, spec, is_shadow=False, is_alone=False)
        p = ttest_ind(sign * a, sign * b + 0.1, equal_var=False, alternative="less").pvalue
        assert (said.outcome == "pass") == (p < 0.05)
        assert said.value == pytest.approx(sign * (a.mean() - b.mean()))
        surely = ttest_ind(sign * a, sign * b + 0.1, equal_var=False, alternative="greater").pvalue < 0.05
        assert surely or said.outcome != "fail"
    error = label(sample, LabelSpec(margin=0.1), is_shadow=False, is_alone=False)
    assert error.outcome == said.outcome  # of an error, less is better


@pytest.mark.parametrize("error", [0.002, 0.01, 0.03])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_sure_over_all_looks_is_the_ratio_of_a_mixture(error, alpha):
    def ratio(difference):
        def weighted(effect):
            return norm.pdf(effect, 0, 0.02) * norm.pdf(difference, effect, error) / norm.pdf(difference, 0, error)

        return quad(weighted, -0.5, 0.5, points=[0, difference], limit=500)[0]

    limit = brentq(lambda difference: ratio(difference) - 1 / alpha, error, 20 * error)
    for difference, is_above in ((0.99 * limit, False), (1.01 * limit, True), (-0.5, False)):
        assert is_ever_above(difference, error, 1e9, alpha=alpha, scale=0.02) == is_above


def test_a_challenger_at_the_margin_is_rolled_back_in_at_most_alpha_of_100_looks_each():
    failed = plain = 0
    for seed in range(150):
        a, b = rng(seed).normal(0.1, 1, 5000), rng(seed + 5000).normal(0, 1, 5000)
        looks = range(50, 5001, 50)
        means = [(a[:n].mean() - b[:n].mean() - 0.1, (2 / n) ** 0.5, 2 * n - 2) for n in looks]
        failed += any(is_ever_above(*one, alpha=0.05, scale=0.1) for one in means)
        plain += any(difference > 1.645 * error for difference, error, _ in means)
    assert binomtest(failed, 150, 0.05, alternative="greater").pvalue > 0.01
    assert plain / 150 > 0.15


def test_labels_of_the_shadow_are_not_waited_for():
    few = Sample(arm(outcomes=[0, 1]), arm(outcomes=[0, 1]), (NONE, NONE), labelled=2)
    many = replace(few, labelled=500)
    business, error = LabelSpec(metric="label", margin=0.1), LabelSpec(margin=0.1)
    said = label(few, error, is_shadow=False, is_alone=False)
    assert (said.outcome, said.said) == ("no_data", "2 labelled rows of 2 units; it takes 200 rows.")
    none = label(replace(few, labelled=0), error, is_shadow=False, is_alone=False)
    assert "see the asset `prediction_log` and its schedule" in none.said
    assert label(few, error, is_shadow=True, is_alone=False) is None
    assert label(many, error, is_shadow=True, is_alone=False).outcome == "inconclusive"
    assert label(many, business, is_shadow=True, is_alone=False) is None
    assert label(many, business, is_shadow=False, is_alone=True).outcome == "pass"
    assert label(replace(many, champion=arm()), business, is_shadow=False, is_alone=True) is None


# all of them


def names(judged):
    return [one.metric for one in judged]


def test_each_step_has_the_metrics_that_mean_something_there():
    scores = rng().random(1000)
    both = arm(1000, units=900, features=5000, nulls=50, latency=slow(1, 1000), outcomes=rng(1).random(900))
    sample = Sample(both, both, (scores, scores), labelled=1000)
    spec = MetricsSpec(label=LabelSpec(metric="label", margin=0.5))
    rest = ["error_share", "latency_p99", "prediction_shift", "null_share"]
    assert names(judge(sample, spec, share=0, is_shadow=True)) == rest
    assert names(judge(sample, spec, share=0.5, is_shadow=False)) == [*rest, "sample_ratio", "label"]
    assert names(judge(sample, spec, share=1, is_shadow=False)) == [*rest, "label"]
    assert {one.outcome for one in judge(sample, spec, share=0.5, is_shadow=False)} == {"pass"}
    alone = judge(replace(sample, champion=arm(), both=(NONE, NONE)), spec, share=1, is_shadow=False)
    assert [(one.metric, one.outcome) for one in alone] == [("error_share", "pass"), ("latency_p99", "pass")]
    assert (
        judge(sample, MetricsSpec.model_validate(dict.fromkeys([*rest, "sample_ratio"])), share=0.5, is_shadow=False)
        == ()
    )


def test_the_shadow_of_a_step_without_units_is_no_mismatch():
    sample = Sample(arm(500, units=500), arm(500, units=0), (NONE, NONE))
    assert "sample_ratio" not in names(judge(sample, MetricsSpec(), share=0, is_shadow=True))


def test_one_heavy_unit_counts_as_many_in_the_shadow_alone_where_both_arms_have_it():
    errors, times, units = np.zeros(100, int), slow(2, 1000), np.arange(1000) // 10
    errors[0], times[:40] = 10, 100
    heavy = replace(
        units_of(np.full(100, 10), errors), latency_ms=times, latency_units=np.where(times == 100, 0, units)
    )
    calm = replace(units_of(np.full(950, 10), np.zeros(950, int)), latency_ms=slow(1, 9500))
    for share, is_shadow, outcome in ((0, True, "fail"), (0.05, False, "pass")):
        found = judge(Sample(calm, heavy, (NONE, NONE)), MetricsSpec(), share=share, is_shadow=is_shadow)
        outcomes = {one.metric: one.outcome for one in found}
        assert outcomes["error_share"] == outcome
        assert (outcomes["latency_p99"] == "fail") == is_shadow


def test_a_dry_run_metric_says_so():
    spec = MetricsSpec(error_share=ErrorShareSpec(dry_run=True))
    found = {
        one.metric: one.dry_run for one in judge(Sample(arm(5), arm(5), (NONE, NONE)), spec, share=0.5, is_shadow=False)
    }
    assert found == {"error_share": True, "latency_p99": False, "sample_ratio": False}


def test_nothing_yet_is_no_data_everywhere():
    found = judge(Sample(arm(), arm(), (NONE, NONE)), MetricsSpec(), share=0.05, is_shadow=False)
    assert {one.metric: one.outcome for one in found} == dict.fromkeys(
        ["error_share", "latency_p99", "null_share", "sample_ratio"], "no_data"
    )
    assert {
        one.outcome for one in judge(Sample(arm(), arm(), (NONE, NONE)), MetricsSpec(), share=0, is_shadow=True)
    } == {"no_data"}
