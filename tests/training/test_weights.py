"""Weights of rows and of classes: multiplied in the fit, and those of rows alone where early stopping looks."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from xgboost import XGBClassifier

from mlops_assets.predictor.frame import feature_frame
from mlops_assets.training.abilities import EstimatorCannot
from mlops_assets.training.errors import NoWeightColumn, UnknownClasses, WeightlessClass, WrongWeights
from mlops_assets.training.weights import fitting_weights
from tests.training.learning import fitted_on, rows, with_column

PLAIN = {"size": {"impute": "constant", "fill": 0, "scale": "none"}, "flow": {"scale": "none"}}


@pytest.fixture(scope="module")
def table():
    return rows()


@given(st.lists(st.integers(0, 2), min_size=5, max_size=60), st.integers(0, 100))
def test_balanced_weights_are_those_of_scikit_learn(drawn, seed):
    y, worth = np.array([0, 1, 2, *drawn], float), np.random.default_rng(seed).uniform(0.1, 3, len(drawn) + 3)
    classes = ("a", "b", "c")
    plain = fitting_weights(y, None, class_weights="balanced", classes=classes)
    np.testing.assert_allclose(plain, compute_sample_weight("balanced", y))
    of_class = compute_class_weight("balanced", classes=np.unique(y), y=y, sample_weight=worth)
    both = fitting_weights(y, worth, class_weights="balanced", classes=classes)
    np.testing.assert_allclose(both, worth * of_class[y.astype(int)])


def test_weights_by_label_multiply_those_of_the_rows():
    y, worth = np.array([0.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0])
    assert fitting_weights(y, worth, class_weights={"1": 5.0}, classes=()).tolist() == [1, 10, 15]
    assert fitting_weights(y, None, class_weights={"b": 2}, classes=("a", "b")).tolist() == [1, 2, 2]
    assert fitting_weights(y, worth, class_weights=None, classes=()) is worth


def test_xgboost_learns_with_the_product_and_stops_without_the_weights_of_classes(table):
    params = {"n_estimators": 40, "max_depth": 3}
    fitted = fitted_on(table, params=params, class_weights={"1": 4}, sample_weight="worth", early_stopping_rounds=5)
    train, validation = table.take(fitted.split.train), table.take(fitted.split.validation)
    x, y, worth = _matrix(fitted, train), train["label"].to_numpy().astype(float), train["worth"].to_numpy()
    by_hand = XGBClassifier(**fitted.recipe.params, n_jobs=1, random_state=0)
    by_hand.fit(x, y, sample_weight=worth * np.where(y == 1, 4, 1))
    xv, yv, wv = _matrix(fitted, validation), validation["label"].to_numpy(), validation["worth"].to_numpy()
    np.testing.assert_array_equal(fitted.validation_scores, by_hand.predict_proba(xv)[:, 1].astype(float))
    watched = {"train": (x, y, worth), "validation": (xv, yv, wv)}
    for part, (matrix, labels, weights) in watched.items():
        losses = _losses(fitted, matrix, labels, weights)
        np.testing.assert_allclose(fitted.curves[f"{part}_logloss"], losses, atol=1e-5)
    assert fitted.recipe.params["n_estimators"] == np.argmin(losses) + 1


def test_a_weight_of_two_is_a_row_twice(table):
    fitted = fitted_on(table, estimator="sklearn.LogisticRegression", preprocessing=PLAIN, sample_weight="worth")
    train = table.take(fitted.split.train)
    twice = np.repeat(np.arange(train.num_rows), train["worth"].to_numpy().astype(int))
    by_hand = LogisticRegression(random_state=0).fit(_matrix(fitted, train)[twice], train["label"].to_numpy()[twice])
    np.testing.assert_allclose(fitted.pipeline[-1].coef_, by_hand.coef_, atol=1e-3)


def test_the_validation_rows_do_not_change_the_weights_of_classes(table):
    fitted = fitted_on(table, estimator="sklearn.LogisticRegression", class_weights="balanced")
    train = table.take(fitted.split.train)
    by_hand = LogisticRegression(class_weight="balanced", random_state=0)
    by_hand.fit(_matrix(fitted, train), train["label"].to_numpy())
    np.testing.assert_allclose(fitted.pipeline[-1].coef_, by_hand.coef_, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([-1.0] + [1.0] * 1599, "1 of .* weights such as -1"),
        ([float("inf")] + [1.0] * 1599, "1 of .* weights such as inf"),
        ([float("nan")] + [1.0] * 1599, "1 of .* weights such as nan"),
        ([None] + [1.0] * 1599, "1 of .* weights null"),
        ([0.0] * 1600, "0 on all"),
        (["much"] * 1600, "string"),
    ],
)
def test_weights_that_cannot_be_used(table, values, found):
    with pytest.raises(WrongWeights, match=f"worth.*found {found}.*required finite numbers >= 0, not all of them 0"):
        fitted_on(with_column(table, "worth", values), sample_weight="worth")


def test_weights_that_are_not_there(table):
    with pytest.raises(NoWeightColumn, match=r"'price'.*found columns prediction_time, .*worth"):
        fitted_on(table, sample_weight="price")
    with pytest.raises(UnknownClasses, match=r"found weights of huge; required labels of the training set: high, low"):
        fitted_on(rows("multiclass"), "multiclass", class_weights={"huge": 2})


def test_a_class_without_weight_cannot_be_balanced(table):
    worth = np.where(table["label"].to_numpy(), 0.0, 1.0)
    with pytest.raises(WeightlessClass, match="total weight of 0 on the rows of class 1"):
        fitted_on(with_column(table, "worth", worth), sample_weight="worth", class_weights="balanced")


@pytest.mark.parametrize(("key", "value"), [("sample_weight", "worth"), ("class_weights", "balanced")])
def test_an_estimator_that_ignores_weights_is_refused(table, key, value):
    with pytest.raises(EstimatorCannot, match=rf"training\.{key} with .*KNeighbors.*`fit` without `sample_weight`"):
        fitted_on(table, estimator="sklearn.KNeighborsClassifier", **{key: value})


def _matrix(fitted, table: pa.Table):
    return fitted.pipeline[0].transform(feature_frame(table, fitted.signature))


def _losses(fitted, matrix, labels, weights):
    """Return the weighted loss after each round."""
    estimator, rounds = fitted.pipeline[-1], len(fitted.curves["train_logloss"])
    scores = [estimator.predict_proba(matrix, iteration_range=(0, n + 1))[:, 1].astype(float) for n in range(rounds)]
    return [log_loss(labels, one, sample_weight=weights) for one in scores]
