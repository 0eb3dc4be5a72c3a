"""The weighted metrics against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mlops_assets.stats.metrics import METRICS, TASK_METRICS

OURS = {name: metric.prepare for name, metric in METRICS.items()}
THEIRS = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": sk.log_loss,
    "brier": sk.brier_score_loss,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
}


CLASSES = 4
OF_CLASSES = {
    "log_loss": lambda y, p, w: sk.log_loss(y, p, labels=range(CLASSES), sample_weight=w),
    "accuracy": lambda y, p, w: sk.accuracy_score(y, p.argmax(axis=1), sample_weight=w),
    "f1_macro": lambda y, p, w: sk.f1_score(y, p.argmax(axis=1), average="macro", sample_weight=w),
    "roc_auc_ovr": lambda y, p, w: sk.roc_auc_score(y, p, multi_class="ovr", average="macro", sample_weight=w),
    "brier": lambda y, p, w: sk.brier_score_loss(y, p, labels=range(CLASSES), sample_weight=w),
}


def test_every_metric_is_compared():
    assert set(OURS) == set(THEIRS) | set(OF_CLASSES)
    assert {name for names in TASK_METRICS.values() for name in names} == set(OURS)
    assert set(TASK_METRICS["multiclass"]) == set(OF_CLASSES)


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


@pytest.mark.parametrize("name", OF_CLASSES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_of_several_classes_equals_scikit_learn_with_ties_and_weights(name, data):
    rows = data.draw(st.integers(CLASSES, 40))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    y = np.r_[np.arange(float(CLASSES)), rng.integers(0, CLASSES, rows - CLASSES)]
    votes = rng.integers(1, data.draw(st.integers(2, 30)), (rows, CLASSES)).astype(float)  # few values: many ties
    scores = votes / votes.sum(axis=1, keepdims=True)
    weights = np.r_[np.ones(CLASSES), rng.integers(0, 4, rows - CLASSES)].astype(float)
    drawn = weights > 0  # scikit-learn counts a class as present also where its rows weigh nothing
    expected = OF_CLASSES[name](y[drawn], scores[drawn], weights[drawn])
    assert OURS[name](y, scores)(weights) == pytest.approx(expected, abs=1e-9)
    assert METRICS[name](y, scores) == pytest.approx(OF_CLASSES[name](y, scores, None), abs=1e-9)


def test_a_class_without_rows_has_no_say():
    y, scores = np.array([0.0, 1.0, 1.0, 0.0]), np.array([[6, 3, 1], [2, 7, 1], [5, 4, 1], [8, 1, 1]]) / 10
    assert METRICS["roc_auc_ovr"](y, scores) == pytest.approx(1.0)  # each of the two orders its rows right
    expected = sk.f1_score(y, scores.argmax(axis=1), average="macro")
    assert METRICS["f1_macro"](y, scores) == pytest.approx(expected)
    assert math.isnan(METRICS["roc_auc_ovr"](np.zeros(4), scores))
