"""The block bootstrap against brute force, scikit-learn and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlops_assets.stats.bootstrap import Blocks, effective_blocks, expanded, paired_interval
from mlops_assets.stats.metrics import METRICS


def _sample(seed=1, blocks=25, size=8):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, blocks * size)
    a, b = y + rng.normal(size=len(y)), 0.5 * y + rng.normal(size=len(y))
    return y, a, b, np.repeat(np.arange(blocks), size)


def _paired(name, y, a, b, blocks, *, replicates=300, tail=0.025, seed=0):
    return paired_interval(METRICS[name], y, a, b, Blocks.of(blocks, replicates=replicates, seed=seed), tail=tail)


def test_interval_equals_brute_force_that_copies_whole_blocks():
    y, a, b, blocks = _sample()
    draws = np.random.default_rng(7).multinomial(25, [1 / 25] * 25, size=300)
    differences = []
    for draw in draws:
        rows = np.concatenate([np.flatnonzero(blocks == block) for block in range(25) for _ in range(draw[block])])
        differences.append(roc_auc_score(y[rows], a[rows]) - roc_auc_score(y[rows], b[rows]))
    level = stats.norm.cdf(np.sqrt(25 / 24) * stats.t.ppf(0.05, 24))  # Hesterberg 2015

    found = _paired("roc_auc", y, a, b, blocks, seed=7, tail=0.05)

    assert found.low == pytest.approx(np.quantile(differences, level, method="lower"), abs=1e-12)
    assert found.high == pytest.approx(np.quantile(differences, 1 - level, method="higher"), abs=1e-12)
    assert found.estimate == pytest.approx(roc_auc_score(y, a) - roc_auc_score(y, b), abs=1e-12)
    assert found.blocks == 25


def test_many_blocks_of_one_row_agree_with_scipy():
    rng = np.random.default_rng(3)
    y = rng.normal(size=400)
    a, b = y + rng.normal(size=400), y + 1.2 * rng.normal(size=400)
    theirs = stats.bootstrap(
        (abs(y - b) - abs(y - a),), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval

    ours = _paired("mae", y, a, b, np.arange(400), replicates=4000)

    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_few_blocks_have_the_interval_of_students_t():
    rng = np.random.default_rng(4)
    of_block = rng.normal(size=12)
    y, blocks = np.zeros(600), np.repeat(np.arange(12), 50)
    b = 10 + np.repeat(of_block, 50)
    theirs = stats.ttest_1samp(of_block, 0).confidence_interval(0.95)

    ours = _paired("mae", y, np.full(600, 10.0), b, blocks, replicates=20_000)

    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_blocks_of_unequal_size_count_for_fewer():
    assert effective_blocks(np.full(20, 7)) == pytest.approx(20)
    assert effective_blocks(np.array([100, *[1] * 19])) < 2
    assert expanded(0.025, 8) < expanded(0.025, 20) < expanded(0.025, 1000) < 0.025
    assert expanded(0.025, 1.0) == expanded(0.025, 2.0) < 1e-12


def test_rows_that_share_their_luck_widen_the_interval():
    rng = np.random.default_rng(5)
    luck = np.repeat(rng.normal(size=30), 50)
    y, a, b = np.zeros(1500), luck + rng.normal(size=1500), np.zeros(1500)

    def width(blocks):
        found = _paired("mae", y, a, b, blocks, replicates=500)
        return found.high - found.low

    assert width(np.repeat(np.arange(30), 50)) > 1.5 * width(np.arange(1500))


def test_a_replicate_without_both_classes_counts_as_no_difference():
    y, blocks = np.array([1.0] * 5 + [0.0] * 5), np.repeat([0, 1], 5)
    found = _paired("roc_auc", y, y.copy(), 1 - y, blocks, tail=0.4)
    assert (found.estimate, found.low, found.high) == (1.0, 0.0, 1.0)  # half of the draws take one block twice


def test_an_undefined_replicate_of_one_metric_is_as_bad_as_can_be():
    y, codes = np.array([1.0] * 5 + [0.0] * 5), np.repeat([0, 1], 5)
    blocks = Blocks.of(codes, replicates=300, seed=0)
    values = blocks.resample(blocks.form(METRICS["roc_auc"], y, y))
    found = blocks.interval(1.0, values, tail=0.4)
    assert (found.low, found.high) == (-np.inf, np.inf)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), metric=st.sampled_from(["roc_auc", "average_precision", "log_loss", "rmse", "mae"]))
def test_a_score_does_not_differ_from_itself_and_pairs_are_antisymmetric(seed, metric):
    y, a, b, blocks = _sample(seed, blocks=12, size=5)
    a, b = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))

    def of(first, second):
        return _paired(metric, y, first, second, blocks, replicates=200, tail=0.05, seed=seed)

    assert (of(a, a).estimate, of(a, a).low, of(a, a).high) == (0.0, 0.0, 0.0)
    assert of(a, b).low == pytest.approx(-of(b, a).high, abs=1e-12)


@pytest.mark.parametrize("replicates", [200, 777])
def test_draws_do_not_depend_on_how_many_fit_into_memory(replicates, monkeypatch):
    y, a, _, codes = _sample()
    blocks = Blocks.of(codes, replicates=replicates, seed=3)
    whole = blocks.resample(blocks.form(METRICS["mae"], y, a))
    monkeypatch.setattr("mlops_assets.stats.bootstrap.CELLS", 4096 * 7)
    np.testing.assert_allclose(blocks.resample(blocks.form(METRICS["mae"], y, a)), whole, rtol=1e-12)
