"""The block bootstrap against brute force, scikit-learn and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlops_assets.stats.bootstrap import paired_block_bootstrap
from mlops_assets.stats.metrics import METRICS


def _sample(seed=1, blocks=25, size=8):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, blocks * size)
    a, b = y + rng.normal(size=len(y)), 0.5 * y + rng.normal(size=len(y))
    return y, a, b, np.repeat(np.arange(blocks), size)


def test_interval_equals_brute_force_that_copies_whole_blocks():
    y, a, b, blocks = _sample()
    draws = np.random.default_rng(7).multinomial(25, [1 / 25] * 25, size=300)
    differences = []
    for draw in draws:
        rows = np.concatenate([np.flatnonzero(blocks == block) for block in range(25) for _ in range(draw[block])])
        differences.append(roc_auc_score(y[rows], a[rows]) - roc_auc_score(y[rows], b[rows]))

    found = paired_block_bootstrap(METRICS["roc_auc"].prepare, y, a, b, blocks, replicates=300, confidence=0.9, seed=7)

    assert found.low == pytest.approx(np.quantile(differences, 0.05), abs=1e-12)
    assert found.high == pytest.approx(np.quantile(differences, 0.95), abs=1e-12)
    assert found.estimate == pytest.approx(roc_auc_score(y, a) - roc_auc_score(y, b), abs=1e-12)
    assert found.blocks == 25


def test_blocks_of_one_row_agree_with_scipy():
    rng = np.random.default_rng(3)
    y = rng.normal(size=400)
    a, b = y + rng.normal(size=400), y + 1.2 * rng.normal(size=400)
    theirs = stats.bootstrap(
        (abs(y - a) - abs(y - b),), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval

    ours = paired_block_bootstrap(
        METRICS["mae"].prepare, y, a, b, np.arange(400), replicates=4000, confidence=0.95, seed=0
    )

    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_rows_that_share_their_luck_widen_the_interval():
    rng = np.random.default_rng(5)
    luck = np.repeat(rng.normal(size=30), 50)
    y, a, b = np.zeros(1500), luck + rng.normal(size=1500), np.zeros(1500)

    def width(blocks):
        found = paired_block_bootstrap(METRICS["mae"].prepare, y, a, b, blocks, replicates=500, confidence=0.95, seed=0)
        return found.high - found.low

    assert width(np.repeat(np.arange(30), 50)) > 1.5 * width(np.arange(1500))


def test_a_replicate_without_both_classes_counts_as_no_difference():
    y, blocks = np.array([1.0] * 5 + [0.0] * 5), np.repeat([0, 1], 5)
    a, b = y.copy(), 1 - y
    found = paired_block_bootstrap(METRICS["roc_auc"].prepare, y, a, b, blocks, replicates=400, confidence=0.95, seed=0)
    assert (found.estimate, found.low, found.high) == (1.0, 0.0, 1.0)  # half of the draws take one block twice


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), metric=st.sampled_from(["roc_auc", "average_precision", "log_loss", "rmse", "mae"]))
def test_a_score_does_not_differ_from_itself_and_pairs_are_antisymmetric(seed, metric):
    y, a, b, blocks = _sample(seed, blocks=12, size=5)
    a, b = 1 / (1 + np.exp(-a)), 1 / (1 + np.exp(-b))

    def of(first, second):
        return paired_block_bootstrap(
            METRICS[metric].prepare, y, first, second, blocks, replicates=200, confidence=0.9, seed=seed
        )

    assert (of(a, a).estimate, of(a, a).low, of(a, a).high) == (0.0, 0.0, 0.0)
    assert of(a, b).low == pytest.approx(-of(b, a).high, abs=1e-12)
