"""Monotone features: by brute force over a grid no step goes the wrong way."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.predictor.scoring import score
from mlops_assets.training.abilities import EstimatorCannot
from mlops_assets.training.misfits import TrainingMisfit
from tests.training.learning import fitted_on, rows

DEEP = {"n_estimators": 60, "max_depth": 6}
FOREST = "sklearn.ensemble.RandomForestClassifier"
GRID = np.linspace(-3, 3, 61)


def steps(fitted, feature):
    """Return the changes of the score along the grid of one feature, at each of some points of the others."""
    other = {"size": "flow", "flow": "size"}[feature]
    points = list(itertools.product([-2.0, -0.3, 0.4, 1.7], ["red", "green", "blue", "never seen"]))
    values, colours = zip(*(point for point in points for _ in GRID), strict=True)
    grid = pa.table({feature: np.tile(GRID, len(points)), other: values, "colour": colours})
    return np.diff(score(fitted.pipeline, grid, fitted.signature).reshape(len(points), len(GRID)))


@pytest.mark.parametrize(
    ("task", "spec"),
    [
        ("binary", {"params": DEEP, "early_stopping_rounds": None}),
        ("binary", {"params": DEEP, "early_stopping_rounds": None, "calibration": "isotonic"}),
        ("binary", {"params": DEEP, "early_stopping_rounds": None, "preprocessing": {"colour": {"encode": "target"}}}),
        ("binary", {"params": DEEP, "early_stopping_rounds": None, "preprocessing": {"size": {"scale": "robust"}}}),
        ("binary", {"estimator": "sklearn.HistGradientBoostingClassifier", "params": {"max_iter": 30}}),
        ("binary", {"estimator": FOREST, "params": {"n_estimators": 20}}),
        ("regression", {"params": DEEP, "early_stopping_rounds": None}),
        ("regression", {"estimator": "sklearn.HistGradientBoostingRegressor", "params": {"max_iter": 30}}),
    ],
)
def test_no_step_goes_the_wrong_way(task, spec):
    table = rows(task)
    monotone = fitted_on(table, task, monotone={"flow": "increasing"}, **spec)
    assert steps(monotone, "flow").min() >= -1e-6
    assert steps(monotone, "flow").max() > 0
    assert steps(monotone, "size").min() < -1e-6  # nothing binds the other one
    free = fitted_on(table, task, **spec)
    assert steps(free, "flow").min() < -1e-3


def test_directions_against_the_data_flatten_the_effect():
    table = rows("regression")
    against = fitted_on(table, "regression", monotone={"size": "decreasing", "flow": "increasing"}, params=DEEP)
    assert steps(against, "size").max() <= 1e-6
    assert steps(against, "flow").min() >= -1e-6


def test_an_estimator_without_constraints_is_refused():
    with pytest.raises(EstimatorCannot, match=r"training\.monotone with .*LogisticRegression.*no parameter `monotone_"):
        fitted_on(rows(), estimator="sklearn.LogisticRegression", monotone={"size": "increasing"})


@pytest.mark.parametrize(
    ("task", "monotone", "message"),
    [
        (
            "binary",
            {"colour": "increasing"},
            r"training\.monotone\.colour: found a categorical feature; required a numeric",
        ),
        (
            "binary",
            {"sise": "increasing"},
            r"training\.monotone\.sise: found no feature 'sise'; required one of size, flow",
        ),
        ("multiclass", {"size": "increasing"}, "found directions of size in a multiclass model"),
    ],
)
def test_directions_that_do_not_fit(task, monotone, message):
    with pytest.raises(TrainingMisfit, match=message):
        fitted_on(rows(task), task, monotone=monotone)
