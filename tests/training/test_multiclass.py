"""Several classes: the sorted labels as strings, every one of them learned, probabilities in their order."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.scoring import score
from mlops_assets.training.errors import AllCensored, ClassNotLearned, SingleClassWindow, WrongLabel
from mlops_assets.training.fit import refit
from mlops_assets.training.labels import classes_of, labels
from mlops_assets.training.spec import SplitSpec
from mlops_assets.training.split import split
from tests.training.learning import fitted_on, rows, with_column


@pytest.fixture(scope="module")
def table():
    return rows("multiclass")


@pytest.mark.parametrize(
    ("values", "classes", "positions"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ([10, 2, 1], ("1", "10", "2"), [1, 2, 0]),
        ([True, False, True], ("false", "true"), [1, 0, 1]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ("a", "b"), [1, 0, 1]),
        ([1.5, 2.0, 2.0], ("1.5", "2"), [0, 1, 1]),
    ],
)
def test_classes_are_the_sorted_labels_as_strings(values, classes, positions):
    table = pa.table({"label": values})
    assert classes_of(table, "multiclass") == classes
    assert labels(table, "multiclass", classes).tolist() == positions


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["a", None, "b"], "1 of 3 labels null"),
        (["a", "a"], "label 'a' on all rows"),
        ([1.0, float("nan")], "NaN"),
        ([["a"], ["b"]], "list"),
    ],
)
def test_labels_that_are_no_classes(values, found):
    with pytest.raises(WrongLabel, match=found):
        classes_of(pa.table({"label": values}), "multiclass")


def test_labels_outside_the_classes_and_no_labels_at_all():
    with pytest.raises(WrongLabel, match=r"found labels \['c'\]; required one of the classes a, b"):
        labels(pa.table({"label": ["a", "c"]}), "multiclass", ("a", "b"))
    with pytest.raises(AllCensored):
        classes_of(pa.table({"label": pa.nulls(3, pa.string())}), "multiclass")


def test_another_task_has_no_classes():
    assert classes_of(rows("binary"), "binary") == classes_of(rows("regression"), "regression") == ()


def test_a_class_that_only_later_rows_have_cannot_be_learned(table):
    values = table["label"].to_pylist()
    values[-3] = "giant"
    with pytest.raises(
        ClassNotLearned, match=r"train rows.*found no row of the class giant; required rows of every class"
    ):
        fitted_on(with_column(table, "label", values), "multiclass")


def test_one_class_in_a_part_says_nothing(table):
    values = table["label"].to_pylist()
    values[-560:] = ["low"] * 560
    with pytest.raises(SingleClassWindow, match=r"test rows.*found label low on all .* required two classes or more"):
        split(with_column(table, "label", values), SplitSpec(), task="multiclass", label_delay=timedelta(0))


def test_xgboost_equals_one_made_by_hand(table):
    fitted = fitted_on(table, "multiclass", params={"n_estimators": 15, "max_depth": 3}, early_stopping_rounds=None)
    assert fitted.signature.classes == ("high", "low", "mid")
    x = fitted.pipeline[0].transform(feature_frame(table, fitted.signature))
    y = np.searchsorted(["high", "low", "mid"], table["label"].to_numpy())
    train, validation = fitted.split.train, fitted.split.validation
    by_hand = XGBClassifier(**fitted.recipe.params, n_jobs=1, random_state=0, objective="multi:softprob")
    by_hand.fit(x[train], y[train])
    np.testing.assert_array_equal(fitted.validation_scores, by_hand.predict_proba(x[validation]).astype(float))
    np.testing.assert_array_equal(fitted.validation_labels, y[validation])
    assert set(fitted.curves) == {"train_mlogloss", "validation_mlogloss"}


def test_early_stopping_takes_the_round_of_least_loss(table):
    fitted = fitted_on(table, "multiclass", early_stopping_rounds=5)
    rounds = int(np.argmin(fitted.curves["validation_mlogloss"])) + 1
    assert fitted.recipe.params["n_estimators"] == rounds < 300
    again = refit(table, fitted.recipe, signature=fitted.signature, candidate=fitted.pipeline)
    assert score(again, table, fitted.signature).shape == (table.num_rows, 3)


def test_a_scikit_learn_model_equals_one_made_by_hand(table):
    fitted = fitted_on(table, "multiclass", estimator="sklearn.LogisticRegression", class_weights="balanced")
    x = fitted.pipeline[0].transform(feature_frame(table, fitted.signature))
    train, validation = fitted.split.train, fitted.split.validation
    by_hand = LogisticRegression(class_weight="balanced", random_state=0).fit(
        x[train], table["label"].to_numpy()[train]
    )
    assert by_hand.classes_.tolist() == list(fitted.signature.classes)
    np.testing.assert_allclose(fitted.validation_scores, by_hand.predict_proba(x[validation]), atol=1e-4)


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        ("sklearn.ensemble:RandomForestClassifier", {"n_estimators": 20}),
        ("sklearn.HistGradientBoostingClassifier", {"max_iter": 20}),
    ],
)
def test_factories_and_other_classifiers(table, estimator, params):
    fitted = fitted_on(table, "multiclass", estimator=estimator, params=params, calibration="auto")
    np.testing.assert_allclose(fitted.validation_scores.sum(axis=1), 1)
    assert fitted.metrics["validation_accuracy"] > 0.5  # chance has a third


def test_two_classes_are_a_case_of_several():
    binary = rows("binary")
    named = with_column(binary, "label", np.where(binary["label"].to_numpy(), "yes", "no"))
    spec = {"preprocessing": {"colour": {"encode": "target"}}, "calibration": "platt"}
    first, second = fitted_on(binary, **spec), fitted_on(named, "multiclass", **spec)
    assert second.signature.classes == ("no", "yes")
    np.testing.assert_array_equal(second.validation_scores[:, 1], first.validation_scores)
