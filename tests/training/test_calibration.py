"""Calibration on validation rows, against isotonic regression and Platt's likelihood solved by hand; chosen, and kept at refit."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from mlops_assets.predictor.calibration import bare_estimator
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.scoring import score
from mlops_assets.training.calibration import TooFewToCalibrate
from mlops_assets.training.errors import NoProbabilities
from mlops_assets.training.fit import refit
from mlops_assets.training.misfits import TrainingMisfit
from tests.training.learning import fitted_on, rows, with_column

SMALL = {"n_estimators": 20, "max_depth": 3}


@pytest.fixture(scope="module")
def table():
    return rows()


def validation_of(fitted, table):
    """Return what the bare estimator says of the validation rows, their labels and weights."""
    part = table.take(fitted.split.validation)
    matrix = fitted.pipeline[0].transform(feature_frame(part, fitted.signature))
    raw = bare_estimator(fitted.pipeline[-1]).predict_proba(matrix)
    return raw, part["label"].to_numpy(), part["worth"].to_numpy()


def platt(p, y, weights):
    """Minimise Platt's likelihood with his smoothed targets; return the map."""
    positives, negatives = weights[y].sum(), weights[~y].sum()
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(ab):
        z = ab[0] * p + ab[1]
        return weights @ (np.logaddexp(0, z) - (1 - target) * z)

    slope, intercept = minimize(loss, [-1.0, 0.0], method="BFGS", options={"gtol": 1e-8}).x
    return lambda q: expit(-(slope * q + intercept))


@pytest.mark.parametrize("sample_weight", [None, "worth"])
def test_isotonic(table, sample_weight):
    fitted = fitted_on(table, params=SMALL, calibration="isotonic", sample_weight=sample_weight)
    raw, y, worth = validation_of(fitted, table)
    by_hand = IsotonicRegression(out_of_bounds="clip")
    by_hand.fit(raw[:, 1].astype(float), y, worth if sample_weight else None)
    np.testing.assert_allclose(fitted.validation_scores, by_hand.predict(raw[:, 1].astype(float)), atol=1e-6)


@pytest.mark.parametrize("sample_weight", [None, "worth"])
def test_platt(table, sample_weight):
    fitted = fitted_on(table, params=SMALL, calibration="platt", sample_weight=sample_weight)
    raw, y, worth = validation_of(fitted, table)
    sigmoid = platt(raw[:, 1].astype(float), y, worth if sample_weight else np.ones(len(y)))
    np.testing.assert_allclose(fitted.validation_scores, sigmoid(raw[:, 1].astype(float)), atol=2e-3)


def test_several_classes_are_calibrated_one_against_the_rest():
    table = rows("multiclass")
    fitted = fitted_on(table, "multiclass", params=SMALL, calibration="isotonic")
    raw, labels, _ = validation_of(fitted, table)
    columns = [
        IsotonicRegression(out_of_bounds="clip").fit(raw[:, place], labels == name).predict(raw[:, place])
        for place, name in enumerate(fitted.signature.classes)
    ]
    made = np.column_stack(columns)
    np.testing.assert_allclose(fitted.validation_scores, made / made.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        ("xgboost", SMALL),
        ("xgboost", {"n_estimators": 200, "max_depth": 8, "learning_rate": 0.5, "min_child_weight": 0}),
        ("sklearn.LogisticRegression", {}),
        ("sklearn.naive_bayes:GaussianNB", {}),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_auto_takes_the_least_loss_on_the_later_half(estimator, params, seed):
    table = rows(seed=seed)
    spec = {"estimator": estimator, "params": params, "early_stopping_rounds": None}
    fitted = fitted_on(table, calibration="auto", **spec)
    part = table.take(fitted.split.validation)
    matrix = fitted.pipeline[0].transform(feature_frame(part, fitted.signature))
    bare = bare_estimator(fitted.pipeline[-1])
    decide = getattr(bare, "decision_function", lambda x: bare.predict_proba(x)[:, 1])
    raw, p, y = decide(matrix).astype(float), bare.predict_proba(matrix)[:, 1].astype(float), part["label"].to_numpy()
    half = len(y) // 2
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(raw[:half], y[:half])
    sigmoid = platt(raw[:half], y[:half], np.ones(half))
    later = {None: p[half:], "platt": sigmoid(raw[half:]), "isotonic": isotonic.predict(raw[half:])}
    losses = {method: log_loss(y[half:], scores) for method, scores in later.items()}
    assert fitted.recipe.calibration == min(losses, key=lambda method: losses[method])
    again = fitted_on(table, calibration=fitted.recipe.calibration, **spec)
    np.testing.assert_array_equal(again.validation_scores, fitted.validation_scores)  # fitted on all of validation


def test_auto_cuts_by_time_whatever_the_order_of_the_rows(table):
    spec = {"params": SMALL, "early_stopping_rounds": None}
    labels = table["label"].to_numpy().copy()
    validation = fitted_on(table, **spec).split.validation
    labels[validation[: len(validation) // 2]] ^= (
        True  # what is learned from them is wrong of the later half, but right on average of a mixture
    )
    table = with_column(table, "label", labels)
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    first, second = fitted_on(table, calibration="auto", **spec), fitted_on(shuffled, calibration="auto", **spec)
    assert first.recipe.calibration is None
    assert (first.recipe, first.metrics) == (second.recipe, second.metrics)
    np.testing.assert_array_equal(first.validation_scores, second.validation_scores)


def test_the_test_rows_reach_no_calibration(table):
    spec = {"params": SMALL, "calibration": "auto"}
    clean = fitted_on(table, **spec)
    labels = table["label"].to_numpy().copy()
    labels[clean.split.test] ^= True
    other = fitted_on(with_column(table, "label", labels), **spec)
    assert other.recipe == clean.recipe
    np.testing.assert_array_equal(
        score(other.pipeline, table, clean.signature), score(clean.pipeline, table, clean.signature)
    )


def test_calibration_takes_back_what_weights_of_classes_did_to_the_mean(table):
    spec = {"params": SMALL, "class_weights": {"1": 20}}
    _, y, _ = validation_of(weighted := fitted_on(table, **spec), table)
    calibrated = fitted_on(table, calibration="isotonic", **spec)
    assert weighted.validation_scores.mean() > y.mean() + 0.2
    assert calibrated.validation_scores.mean() == pytest.approx(y.mean())


@pytest.mark.parametrize(("task", "method"), [("binary", "platt"), ("binary", "isotonic"), ("multiclass", "isotonic")])
def test_a_refit_keeps_the_maps_of_the_candidate(task, method):
    table = rows(task)
    fitted = fitted_on(table, task, params=SMALL, calibration=method)
    again = refit(table, fitted.recipe, signature=fitted.signature, candidate=fitted.pipeline)
    plain = refit(
        table, replace(fitted.recipe, calibration=None), signature=fitted.signature, candidate=fitted.pipeline
    )
    frame = feature_frame(table, fitted.signature)
    raw, maps = plain.predict_proba(frame), fitted.pipeline[-1].calibrated_classifiers_[0].calibrators
    columns = raw.T if task == "multiclass" else raw.T[1:]
    made = np.column_stack([one.predict(column) for one, column in zip(maps, columns, strict=True)])
    expected = made / made.sum(axis=1, keepdims=True) if task == "multiclass" else made[:, 0]
    np.testing.assert_allclose(score(again, table, fitted.signature), expected, atol=1e-6)
    booster = bare_estimator(again[-1]).get_booster().save_raw()
    assert booster == plain[-1].get_booster().save_raw() != bare_estimator(fitted.pipeline[-1]).get_booster().save_raw()
    np.testing.assert_array_equal(
        score(fitted.pipeline, table.take(fitted.split.validation), fitted.signature), fitted.validation_scores
    )


def test_the_booster_and_its_rounds_are_within_reach(table):
    fitted = fitted_on(table, calibration="platt", early_stopping_rounds=5)
    bare = bare_estimator(fitted.pipeline[-1])
    assert bare.best_iteration + 1 == fitted.recipe.params["n_estimators"]
    assert bare.get_booster().num_boosted_rounds() == len(fitted.curves["validation_logloss"])


@pytest.mark.parametrize(
    ("calibration", "where"), [("isotonic", "validation"), ("auto", "the earlier half of validation")]
)
def test_a_class_with_too_few_rows(table, calibration, where):
    labels = table["label"].to_numpy().copy()
    validation = fitted_on(table, params=SMALL).split.validation
    labels[validation] = False
    labels[validation[:4]] = labels[validation[-9:]] = True
    if calibration == "isotonic":
        labels[validation[-9:]] = False
    with pytest.raises(
        TooFewToCalibrate, match=f"{calibration}: found 4 rows of class 1 in {where}; required at least 5"
    ):
        fitted_on(with_column(table, "label", labels), params=SMALL, calibration=calibration)


def test_decisions_become_probabilities_by_calibration_only(table):
    fitted = fitted_on(table, estimator="sklearn.LinearSVC", calibration="platt")
    assert fitted.metrics["validation_roc_auc"] > 0.85
    for calibration in (None, "auto"):
        with pytest.raises(NoProbabilities, match=r"LinearSVC.*calibration: platt"):
            fitted_on(table, estimator="sklearn.LinearSVC", calibration=calibration)


def test_a_regression_has_no_probabilities():
    with pytest.raises(TrainingMisfit, match=r"training\.calibration: found 'auto' of a regression"):
        fitted_on(rows("regression"), "regression", calibration="auto")
