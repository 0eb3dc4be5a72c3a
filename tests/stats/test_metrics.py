"""The weighted metrics against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlops_assets.stats.metrics import METRICS

OURS = {name: metric.prepare for name, metric in METRICS.items()}
THEIRS = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
}


def test_every_metric_is_compared():
    assert set(OURS) == set(THEIRS)


@pytest.mark.parametrize("name", THEIRS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_equals_scikit_learn_with_ties_and_weights(name, data):
    rows = data.draw(st.integers(4, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    y = np.r_[0.0, 1.0, rng.integers(0, 2, rows - 2)]
    scores = rng.choice(np.linspace(0.05, 0.95, data.draw(st.integers(1, 40))), rows)  # few values: many ties
    weights = np.r_[1, 1, rng.integers(0, 4, rows - 2)].astype(float)  # a block may be drawn no time, or several
    assert OURS[name](y, scores)(weights) == pytest.approx(THEIRS[name](y, scores, sample_weight=weights), abs=1e-9)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_ranking_of_one_class_is_undefined(name, label):
    assert math.isnan(METRICS[name](np.full(5, label), np.linspace(0, 1, 5)))


def test_certain_and_wrong_scores_have_a_finite_loss():
    y, scores = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    assert METRICS["log_loss"](y, scores) == pytest.approx(sk.log_loss(y, scores))
