"""The block form of every metric against its plain form on rows that are copied block by block."""

import numpy as np
import pytest
from scipy.sparse import issparse

from mlops_assets.stats import block_metrics
from mlops_assets.stats.block_metrics import block_form, counts_by_block
from mlops_assets.stats.metrics import METRICS, TASK_METRICS

BLOCKS = 14
PAIRS = [(task, name) for task, names in TASK_METRICS.items() for name in names]


def _rows(task, count=700, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, BLOCKS, count)
    if task == "multiclass":
        y = rng.integers(0, 3, count).astype(float)
        scores = rng.random((count, 3)) + 0.5 * (np.arange(3) == y[:, None])
        return y, scores / scores.sum(axis=1, keepdims=True), codes
    noise = rng.normal(size=count)
    if task == "regression":
        return noise, noise + rng.normal(size=count), codes
    y = rng.integers(0, 2, count).astype(float)
    return y, np.round(1 / (1 + np.exp(1 - 2 * y - noise)), 2), codes  # rounded, so that there are ties


def _copied(y, scores, codes, weights):
    rows = np.concatenate([np.flatnonzero(codes == block) for block in range(BLOCKS) for _ in range(weights[block])])
    return y[rows], scores[rows]


@pytest.mark.parametrize(("task", "name"), PAIRS)
def test_a_resample_has_the_metric_of_its_copied_rows(task, name):
    y, scores, codes = _rows(task)
    draws = np.random.default_rng(1).multinomial(BLOCKS, [1 / BLOCKS] * BLOCKS, size=20)

    found = block_form(METRICS[name], y, scores, codes, BLOCKS)(draws.astype(float))

    expected = [METRICS[name](*_copied(y, scores, codes, draw)) for draw in draws]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "roc_auc_ovr"])
def test_more_scores_than_bins_cost_next_to_nothing(name, monkeypatch):
    monkeypatch.setattr(block_metrics, "BINS", 1024)
    rng = np.random.default_rng(2)
    y = (rng.random(5000) < 0.1).astype(float)
    scores, codes = y + rng.normal(size=5000), rng.integers(0, BLOCKS, 5000)
    if name == "roc_auc_ovr":
        scores = np.column_stack([-scores, scores])
    draws = rng.multinomial(BLOCKS, [1 / BLOCKS] * BLOCKS, size=20)

    found = block_form(METRICS[name], y, scores, codes, BLOCKS)(draws.astype(float))

    expected = [METRICS[name](*_copied(y, scores, codes, draw)) for draw in draws]
    spread = np.std(expected)
    assert np.abs(found - expected).max() < 0.03 * spread
    assert np.abs(np.mean(found - expected)) < 0.01 * spread


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_one_class_is_undefined_there_as_well(name):
    form = block_form(METRICS[name], np.array([1.0, 1, 0]), np.array([0.1, 0.2, 0.3]), np.array([0, 0, 1]), 2)
    assert np.isnan(form(np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))).tolist() == [True, True, False]


def test_a_block_without_rows_counts_for_nothing():
    form = block_form(METRICS["mae"], np.zeros(2), np.array([1.0, 3.0]), np.array([0, 2]), 3)
    np.testing.assert_array_equal(form(np.array([[1.0, 5.0, 1.0], [0.0, 1.0, 0.0]])), [2.0, np.nan])


def test_more_blocks_than_scores_have_the_same_area():
    rng = np.random.default_rng(3)
    y, scores, codes = rng.integers(0, 2, 300), rng.integers(0, 5, 300), rng.integers(0, 40, 300)
    draw = rng.multinomial(40, [1 / 40] * 40)
    rows = np.repeat(np.arange(300), draw[codes])
    found = block_form(METRICS["roc_auc"], y, scores, codes, 40)(draw[None].astype(float))
    assert found == pytest.approx(METRICS["roc_auc"](y[rows], scores[rows]), rel=1e-12)


def test_many_blocks_are_counted_sparsely_with_the_same_result(monkeypatch):
    y, scores, codes = _rows("binary")
    draws = np.random.default_rng(1).multinomial(BLOCKS, [1 / BLOCKS] * BLOCKS, size=5).astype(float)
    dense = [block_form(METRICS[name], y, scores, codes, BLOCKS)(draws) for name in ("roc_auc", "average_precision")]

    monkeypatch.setattr(block_metrics, "DENSE_CELLS", 0)

    assert issparse(counts_by_block(codes, codes, BLOCKS, BLOCKS))
    sparse = [block_form(METRICS[name], y, scores, codes, BLOCKS)(draws) for name in ("roc_auc", "average_precision")]
    np.testing.assert_allclose(sparse, dense, rtol=1e-12)
