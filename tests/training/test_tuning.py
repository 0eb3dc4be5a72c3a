"""A search chooses by validation rows alone, counts failures, and leaves every trial as a nested run."""

import itertools
import threading
import time

import optuna
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier
from training.conftest import rows
from training.tuned import STUDY, storage_in, table_rows, tune

from mlops_assets.training.errors import UnknownEstimator
from mlops_assets.training.fit import learn
from mlops_assets.training.spec import TrainingSpec
from mlops_assets.training.tuning import NoTrialSucceeded, WrongTuningMetric

TREE = {"estimator": "sklearn.DecisionTreeClassifier", "seed": 5}
DEPTHS = {"max_depth": {"low": 1, "high": 8}, "min_samples_leaf": {"low": 1, "high": 40}}


def fickle(depth=1):
    """A factory of trees that fail for some parameters."""
    if depth == 3:
        raise KeyboardInterrupt
    return Unfit() if depth == 2 else DecisionTreeClassifier(max_depth=depth)


class Unfit(DecisionTreeClassifier):
    def fit(self, *_, **__):
        raise ArithmeticError("no fit at depth 2")


class Crowd(DecisionTreeClassifier):
    """A tree that counts how many of its kind are being fitted at once."""

    now, most, lock = 0, 0, threading.Lock()

    def fit(self, *args, **kwargs):
        with Crowd.lock:
            Crowd.now += 1
            Crowd.most = max(Crowd.most, Crowd.now)
        time.sleep(0.1)
        with Crowd.lock:
            Crowd.now -= 1
        return super().fit(*args, **kwargs)


def crowd(depth=1):
    return Crowd(max_depth=2)


FICKLE = {"estimator": f"{__name__}:fickle"}


def test_the_best_value_is_that_of_scikit_learn_for_a_fit_with_these_parameters(tmp_path, tracking):
    table = rows(days=60, per_day=10)
    outcome = tune(storage_in(tmp_path), tracking, {"space": DEPTHS, "trials": 4}, training=TREE, table=table)
    seen, _ = table_rows(table)

    values = [trial["value"] for trial in outcome.trials]
    scores = learn(seen, outcome.recipe).pipeline.predict_proba(seen.validation.frame)[:, 1]
    assert max(values) == pytest.approx(roc_auc_score(seen.validation.y, scores), abs=1e-12)
    assert len(set(values)) > 1
    assert [trial["value"] for trial in outcome.trials if trial["is_best"]] == [max(values)]


def test_no_trial_sees_the_test_window(tmp_path, tracking):
    table = rows(days=60, per_day=10)
    seen, parts = table_rows(table)
    flipped = [not label if row in set(parts.test) else label for row, label in enumerate(table["label"].to_pylist())]
    other = table.set_column(table.schema.get_field_index("label"), "label", pa.array(flipped))
    tuning = {"space": DEPTHS, "trials": 12}

    one = tune(storage_in(tmp_path / "a"), tracking, tuning, training=TREE, table=table)
    two = tune(storage_in(tmp_path / "b"), tracking, tuning, training=TREE, table=other)

    assert one.decided == two.decided
    assert one.recipe == two.recipe
    tests = set(table.take(parts.test)["flow"].to_pylist())
    assert len(tests) == len(parts.test) > 50
    assert not tests & {*seen.train.frame["flow"], *seen.validation.frame["flow"]}


def test_every_trial_is_a_nested_run_and_the_outcome_is_in_that_of_the_candidate(tmp_path, tracking):
    outcome = tune(storage_in(tmp_path), tracking, {"space": DEPTHS, "trials": 11}, training=TREE)

    data = outcome.run.client.get_run(outcome.run.run_id).data
    best = next(trial for trial in outcome.trials if trial["is_best"])
    assert {name: data.params[f"tuning/{name}"] for name in DEPTHS} == {k: str(v) for k, v in best["params"].items()}
    assert (data.metrics["tuning/best"], data.metrics["tuning/trials"]) == (best["value"], 11)
    assert {name: outcome.recipe.params[name] for name in DEPTHS} == best["params"]
    assert [child.info.run_name for child in outcome.children] == [f"trial {slot:03d}" for slot in range(11)]
    for child, trial in zip(outcome.children, outcome.trials, strict=True):
        assert child.info.status == "FINISHED"
        assert child.data.metrics["validation_roc_auc"] == trial["value"]
        assert child.data.params == {name: str(value) for name, value in trial["params"].items()}
    for name in ("tuning_history", "tuning_importance"):
        assert outcome.run.read_bytes(f"plots/{name}.png").startswith(b"\x89PNG")


def test_few_trials_have_no_importance(tmp_path, tracking):
    run = tune(storage_in(tmp_path), tracking, {"space": DEPTHS, "trials": 2}, training=TREE).run

    assert run.read_bytes("plots/tuning_importance.png") is None


def test_a_grid_is_covered_once_at_most_and_also_by_several_at_once(tmp_path, tracking):
    space = {"max_depth": {"low": 1, "high": 5, "step": 2}, "criterion": ["gini", "entropy"]}
    grid = {"space": space, "sampler": "grid", "trials": 100}

    one = tune(storage_in(tmp_path / "a"), tracking, grid, training=TREE)
    two = tune(storage_in(tmp_path / "b"), tracking, {**grid, "parallel": 3}, training=TREE)
    some = tune(storage_in(tmp_path / "c"), tracking, {**grid, "trials": 4}, training=TREE)

    points = [tuple(trial["params"].values()) for trial in one.trials]
    assert sorted(points) == sorted(itertools.product([1, 3, 5], ["gini", "entropy"]))
    assert one.decided == two.decided
    assert [trial["params"] for trial in some.trials] == [trial["params"] for trial in one.trials[:4]]


def test_of_losses_the_smallest_wins_and_a_pruned_one_never_does(tmp_path, tracking):
    training = {"params": {"n_estimators": 12}, "early_stopping_rounds": None}
    space = {"learning_rate": [0.001, 0.01, 0.1, 0.3, 0.5], "max_depth": [1, 2, 4]}
    tuning = {"space": space, "sampler": "random", "pruner": "median", "trials": 14}

    outcome = tune(storage_in(tmp_path), tracking, tuning, training=training, task="regression", metric="mae")

    values = [trial["value"] for trial in outcome.trials if trial["state"] == "complete"]
    assert [trial["value"] for trial in outcome.trials if trial["is_best"]] == [min(values)]
    pruned = [trial["trial"] for trial in outcome.trials if trial["state"] == "pruned"]
    tagged = [int(child.data.tags["mlops/trial"]) for child in outcome.children if "mlops/pruned" in child.data.tags]
    assert tagged == pruned != []
    assert {child.info.status for child in outcome.children} == {"FINISHED"}


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(tmp_path, tracking):
    tuning = {"space": {"depth": [1, 2, 4]}, "sampler": "grid"}

    outcome = tune(storage_in(tmp_path), tracking, tuning, training=FICKLE)

    failed = [trial for trial in outcome.trials if trial["state"] == "fail"]
    assert [(trial["params"], trial["error"]) for trial in failed] == [
        ({"depth": 2}, "ArithmeticError: no fit at depth 2")
    ]
    assert sorted(child.info.status for child in outcome.children) == ["FAILED", "FINISHED", "FINISHED"]
    assert outcome.run.client.get_run(outcome.run.run_id).data.metrics["tuning/failed"] == 1


def test_when_all_trials_fail_nothing_is_chosen_and_the_next_run_tries_again(tmp_path, tracking):
    for attempts in (1, 2):
        with pytest.raises(NoTrialSucceeded, match=r"found 1 trials without a value.*no fit at depth 2"):
            tune(storage_in(tmp_path), tracking, {"space": {"depth": [2]}, "trials": 1}, training=FICKLE)
        assert len(optuna.load_study(study_name=STUDY, storage=storage_in(tmp_path)).trials) == attempts


def test_an_interrupted_trial_is_left_for_the_next_search(tmp_path, tracking):
    training = {**FICKLE, "seed": 1}
    with pytest.raises(KeyboardInterrupt):
        tune(storage_in(tmp_path), tracking, {"space": {"depth": [3]}, "trials": 1}, training=training)

    (trial,) = optuna.load_study(study_name=STUDY, storage=storage_in(tmp_path)).trials
    assert trial.state.name == "FAIL"
    assert "error" not in trial.user_attrs


def test_no_more_trials_run_at_once_than_the_file_allows(tmp_path, tracking):
    crowded = {"space": {"depth": {"low": 1, "high": 99}}, "trials": 7, "parallel": 2}
    outcome = tune(storage_in(tmp_path), tracking, crowded, training={"estimator": f"{__name__}:crowd"})

    assert Crowd.most == 2
    assert [trial["trial"] for trial in outcome.trials] == list(range(7))
    assert [trial["trial"] for trial in outcome.trials if trial["is_best"]] == [0]  # the first of equals


def test_after_the_timeout_no_trial_starts(tmp_path, tracking):
    endless = {"space": DEPTHS, "sampler": "random", "trials": 10_000, "timeout_minutes": 0.01}

    assert 1 <= len(tune(storage_in(tmp_path), tracking, endless, training=TREE).trials) < 100


@pytest.mark.parametrize(
    "training", [{}, TREE, {"estimator": f"{__name__}:strict"}], ids=["xgboost", "sklearn", "factory"]
)
def test_a_name_that_the_estimator_does_not_know_ends_the_search_at_once(tmp_path, tracking, training):
    with pytest.raises(UnknownEstimator, match="max_dept"):
        tune(storage_in(tmp_path), tracking, {"space": {"max_dept": [1, 2]}}, training=training)

    assert len(optuna.load_study(study_name=STUDY, storage=storage_in(tmp_path)).trials) == 1


def strict(max_depth=1):
    raise AssertionError(f"never built, {max_depth}")


def test_rare_parameters_of_xgboost_are_known(tmp_path, tracking):
    dart = {"params": {"n_estimators": 3, "booster": "dart"}}
    assert tune(
        storage_in(tmp_path), tracking, {"space": {"rate_drop": [0.5], "eta": [0.3]}, "trials": 1}, training=dart
    )


def test_a_metric_of_another_task_is_refused(tmp_path, tracking):
    with pytest.raises(WrongTuningMetric, match=r"binary model: found 'rmse'"):
        tune(storage_in(tmp_path), tracking, {"space": DEPTHS}, training=TREE, metric="rmse")


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({"space": {"a": {"low": 3, "high": 1}}}, "found low 3 above high 1"),
        ({"space": {"a": {"low": 0, "high": 1, "log": True}}}, "found log with low 0"),
        ({"space": {"a": {"low": 1, "high": 4, "log": True, "step": 1}}}, "found log and step"),
        ({"space": {"a": {"low": 1, "high": 4, "step": 2}}}, "found step 2 from 1 to 4"),
        ({"space": {"a": {"low": 1, "high": 2, "step": 0.5}}}, "found step 0.5 between integers"),
        ({"space": {"a": [1, True]}}, "found equal values for a"),
        ({"space": {"n_jobs": [1]}}, "found n_jobs; .*`training.threads` decides it"),
        ({"space": {"a": {"low": 1, "high": 4}}, "sampler": "grid"}, "found a grid over a without step"),
        ({"space": {"a": {"low": 0, "high": 10**9, "step": 1}}, "sampler": "grid"}, "found a grid of 1,000,000,001"),
        ({"space": {"n_estimators": [10, 20]}}, "found n_estimators in the space"),
        ({"space": {}}, "at least 1 item"),
        ({"space": {"a": []}}, "at least 1 item"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(tuning, message):
    with pytest.raises(ValueError, match=message):
        TrainingSpec(tuning=tuning)


@pytest.mark.parametrize(
    ("training", "tuning", "message"),
    [
        (TREE, {"pruner": "median"}, "found pruner median with sklearn.DecisionTreeClassifier; required xgboost"),
        ({"data": "stream"}, {}, "found tuning with data: stream"),
    ],
)
def test_what_the_training_cannot_do_is_refused(training, tuning, message):
    with pytest.raises(ValueError, match=message):
        TrainingSpec(**training, tuning={"space": {"a": [1]}, **tuning})


def test_ranges_are_of_integers_when_both_ends_are_written_so(tmp_path, tracking):
    space = {"max_depth": {"low": 2, "high": 4}, "min_impurity_decrease": {"low": 0, "high": 0.1}}
    outcome = tune(storage_in(tmp_path), tracking, {"space": space, "trials": 3}, training=TREE)

    assert {type(trial["params"]["max_depth"]) for trial in outcome.trials} == {int}
    assert {type(trial["params"]["min_impurity_decrease"]) for trial in outcome.trials} == {float}
