"""Fitting: deterministic, blind to the test rows, and scored as scikit-learn would."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error
from threadpoolctl import threadpool_info

from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.signature import Kind, Signature, Task
from mlops_assets.training.errors import NoProbabilities, UnknownEstimator
from mlops_assets.training.estimators import Recipe, make_estimator, recipe_of
from mlops_assets.training.fit import fit, learn, refit, train
from mlops_assets.training.importance import importances
from mlops_assets.training.rows import learning_rows
from mlops_assets.training.spec import SplitSpec, TrainingSpec
from mlops_assets.training.split import PARTS

FEATURES: dict[str, Kind] = {"size": "numeric", "flow": "numeric", "colour": "categorical"}


def _train(table, task: Task = "binary", features=FEATURES, search=None, **spec):
    return train(
        table,
        task=task,
        features=features,
        request_inputs=["colour"],
        split_spec=SplitSpec(),
        spec=TrainingSpec(**spec),
        label_delay=timedelta(days=2),
        search=search,
    )


def _booster(pipeline):
    return bytes(pipeline[-1].get_booster().save_raw())


def test_the_same_input_gives_the_same_bytes(table):
    first, second = _train(table), _train(table)
    assert _booster(first.pipeline) == _booster(second.pipeline)
    assert (first.recipe, first.metrics, first.curves) == (second.recipe, second.metrics, second.curves)
    again = refit(table, first.recipe, signature=first.signature, candidate=first.pipeline)
    assert _booster(again) == _booster(refit(table, first.recipe, signature=first.signature, candidate=first.pipeline))


def test_the_seed_matters(table):
    assert _booster(_train(table, seed=1).pipeline) != _booster(_train(table, seed=2).pipeline)


def test_test_rows_do_not_reach_the_model(table):
    clean = _train(table)
    is_test = np.isin(np.arange(table.num_rows), clean.split.test)
    flipped = pa.array(np.where(is_test, ~table["label"].to_numpy(), table["label"].to_numpy()))
    other = _train(table.set_column(table.column_names.index("label"), "label", flipped))
    assert _booster(other.pipeline) == _booster(clean.pipeline)
    assert (other.metrics, other.curves) == (clean.metrics, clean.curves)
    assert not [name for name in clean.metrics if name.startswith("test_") and name != "test_rows"]


def test_metrics_are_those_of_scikit_learn(table):
    fitted = _train(table)
    rows = fitted.split.validation
    y, some = table["label"].to_numpy()[rows], table.take(rows)
    scores = fitted.pipeline.predict_proba(feature_frame(some, fitted.signature))[:, 1].astype(float)
    assert fitted.metrics["validation_roc_auc"] == pytest.approx(roc_auc_score(y, scores))
    assert fitted.metrics["validation_log_loss"] == pytest.approx(log_loss(y, scores))
    assert fitted.metrics["validation_roc_auc"] > 0.9  # the signal is strong
    assert [fitted.metrics[f"{part}_rows"] for part in PARTS] == [len(getattr(fitted.split, part)) for part in PARTS]
    np.testing.assert_array_equal(fitted.validation_labels, y)
    np.testing.assert_array_equal(fitted.validation_scores, scores)


def test_a_search_gets_the_learning_rows_and_chooses_the_recipe(table):
    seen = []

    def search(rows, recipe):
        seen.append((rows, recipe))
        return replace(recipe, params={"n_estimators": 3})

    fitted = _train(table, search=search)
    [(rows, recipe)] = seen
    assert recipe == recipe_of(TrainingSpec())
    assert [len(part.y) for part in (rows.train, rows.validation)] == [
        len(fitted.split.train),
        len(fitted.split.validation),
    ]
    assert fitted.recipe.params == {"n_estimators": 3}


def test_each_round_is_told_and_may_be_the_last(table):
    rows, told = learning_rows(table, _train(table).split, Signature(FEATURES, "binary")), []
    recipe = recipe_of(TrainingSpec(early_stopping_rounds=None, params={"n_estimators": 9}))
    whole = learn(rows, recipe)
    learned = learn(rows, recipe, on_round=lambda number, losses: told.append((number, losses)) or number == 4)
    assert [number for number, _ in told] == [0, 1, 2, 3, 4]
    for name in ("train_logloss", "validation_logloss"):
        assert [losses[name] for _, losses in told] == learned.curves[name] == list(whole.curves[name][:5])
    assert learned.recipe.params["n_estimators"] == 5
    assert learned.pipeline[-1].get_params()["callbacks"] is None


def test_the_recipe_keeps_the_rounds_that_early_stopping_chose(table):
    fitted = _train(table, early_stopping_rounds=5)
    losses = fitted.curves["validation_logloss"]
    assert fitted.recipe.params["n_estimators"] == int(np.argmin(losses)) + 1 < 300
    assert (
        refit(table, fitted.recipe, signature=fitted.signature, candidate=fitted.pipeline).steps[-1][1].n_estimators
        == int(np.argmin(losses)) + 1
    )
    assert Recipe(**json.loads(json.dumps(fitted.recipe.__dict__))) == fitted.recipe


def test_without_early_stopping_all_rounds_are_trained(table):
    fitted = _train(table, early_stopping_rounds=None, params={"n_estimators": 7})
    assert len(fitted.curves["validation_logloss"]) == fitted.recipe.params["n_estimators"] == 7


def test_trained_through_is_the_newest_row_that_the_fit_looked_at(table):
    fitted = _train(table)
    times = table["prediction_time"].to_pylist()
    assert fitted.trained_through == max(times[i] for i in fitted.split.validation)
    assert fitted.trained_through + timedelta(days=2) < min(times[i] for i in fitted.split.test)


def test_a_scikit_learn_model_equals_one_made_by_hand(table):
    fitted = _train(table, estimator="sklearn.LogisticRegression", params={"C": 0.5})
    frame = feature_frame(table, fitted.signature)
    train_rows = frame.iloc[fitted.split.train]
    median = train_rows[["size", "flow"]].median()
    filled = frame[["size", "flow"]].fillna(median)
    scaled = (filled - filled.iloc[fitted.split.train].mean()) / filled.iloc[fitted.split.train].std(ddof=0)
    x = np.column_stack([scaled, frame["colour"] == "green", frame["colour"] == "red"])
    y = table["label"].to_numpy()
    by_hand = LogisticRegression(C=0.5, random_state=0).fit(x[fitted.split.train], y[fitted.split.train])
    np.testing.assert_allclose(
        fitted.validation_scores, by_hand.predict_proba(x[fitted.split.validation])[:, 1], atol=1e-6
    )
    assert not fitted.curves


def test_regression():
    rng, count = np.random.default_rng(0), 1600
    size = rng.normal(size=count)
    times = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=1.2 * i) for i in range(count)]
    table = pa.table({"prediction_time": times, "size": size, "label": 3 * size + rng.normal(size=count)})
    fitted = _train(table, "regression", {"size": "numeric"})
    expected = root_mean_squared_error(table["label"].to_numpy()[fitted.split.validation], fitted.validation_scores)
    assert fitted.metrics["validation_rmse"] == pytest.approx(expected)
    assert expected < 1.5


def test_rows_in_another_order_are_split_alike(table):
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    times, other = table["prediction_time"].to_pylist(), shuffled["prediction_time"].to_pylist()
    first, second = _train(table).split, _train(shuffled).split
    assert sorted(times[i] for i in first.test) == sorted(other[i] for i in second.test)


def test_a_missing_category_and_an_empty_column_are_no_obstacle(table):
    hollow = table.set_column(3, "flow", pa.nulls(table.num_rows, pa.float64()))
    fitted = _train(hollow)
    assert fitted.metrics["validation_roc_auc"] > 0.9
    assert importances(fitted, hollow)["flow"] == 0


@pytest.mark.parametrize(
    ("estimator", "params", "found"),
    [
        ("sklearn.NoSuchModel", {}, "no class NoSuchModel"),
        ("sklearn.linear_model.NoSuchModel", {}, "no class NoSuchModel in sklearn.linear_model"),
        ("no_such_module:make", {}, "No module named 'no_such_module'"),
        ("math:no_such_factory", {}, "no_such_factory"),
        ("sklearn.LogisticRegression", {"depth": 3}, "unexpected keyword argument 'depth'"),
    ],
)
def test_an_estimator_that_cannot_be_built_is_named(estimator, params, found):
    with pytest.raises(UnknownEstimator, match=found):
        make_estimator(recipe_of(TrainingSpec(estimator=estimator, params=params)), "binary")


def test_a_binary_model_must_give_probabilities():
    with pytest.raises(NoProbabilities, match="LinearSVC"):
        make_estimator(recipe_of(TrainingSpec(estimator="sklearn.LinearSVC")), "binary")


@pytest.mark.parametrize(
    "estimator", ["sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble:HistGradientBoostingClassifier"]
)
def test_seed_and_threads_reach_any_estimator(table, estimator):
    made = make_estimator(recipe_of(TrainingSpec(estimator=estimator, seed=5, threads=2)), "binary")
    assert made.get_params()["random_state"] == 5
    assert made.get_params().get("n_jobs", 2) == 2


def test_fit_takes_a_split_that_was_made_before(table):
    whole = _train(table)
    signature = Signature(FEATURES, "binary", ("colour",))
    assert _booster(fit(table, signature=signature, spec=TrainingSpec(), split=whole.split).pipeline) == _booster(
        whole.pipeline
    )


def test_scikit_learn_keeps_to_the_threads_of_the_recipe(table, monkeypatch):
    seen = []

    class Spying(LogisticRegression):
        def fit(self, x, y):
            seen.append({pool["num_threads"] for pool in threadpool_info()})
            return super().fit(x, y)

    monkeypatch.setattr("sklearn.linear_model.LogisticRegression", Spying)
    fitted = _train(table, estimator="sklearn.linear_model:LogisticRegression")
    refit(table, fitted.recipe, signature=fitted.signature, candidate=fitted.pipeline)
    assert seen == [{1}, {1}]
