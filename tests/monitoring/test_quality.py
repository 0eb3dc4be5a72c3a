import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import mannwhitneyu
from sklearn import metrics as sk

from mlops_assets.monitoring.quality import Quality, assess_quality


def predictions(score, label, status=None, version=None):
    rows = len(score)
    return pa.table(
        {
            "score": pa.array(score, pa.float64()),
            "label": pa.array(label, pa.float64()),
            "status": pa.array(status or ["labelled"] * rows, pa.string()),
            "model_version": pa.array(version or [1] * rows, pa.int64()),
        }
    )


def test_binary_metrics_equal_their_definitions():
    rng = np.random.default_rng(0)
    score = rng.random(300)
    label = (rng.random(300) < score).astype(float)
    quality = assess_quality(predictions(score, label), task="binary", window="w")
    pairs = mannwhitneyu(score[label == 1], score[label == 0]).statistic
    assert quality.overall.metrics == pytest.approx(
        {
            "roc_auc": pairs / (label.sum() * (1 - label).sum()),
            "average_precision": sk.average_precision_score(label, score),
            "log_loss": -np.mean(label * np.log(score) + (1 - label) * np.log(1 - score)),
            "brier": np.mean((score - label) ** 2),
        }
    )
    assert (quality.overall.score_mean, quality.overall.label_mean) == pytest.approx((score.mean(), label.mean()))


def test_regression_metrics_equal_their_definitions():
    quality = assess_quality(predictions([1.0, 2.0, 5.0], [1.0, 4.0, 4.0]), task="regression", window="w")
    assert quality.overall.metrics == pytest.approx({"rmse": (5 / 3) ** 0.5, "mae": 1.0})


def test_pending_and_censored_rows_are_counted_and_not_imputed():
    table = predictions(
        [0.9, 0.1, 0.8, 0.7], [1.0, 0.0, None, None], ["labelled", "labelled", "pending", "censored"], [1, 1, 1, 2]
    )
    quality = assess_quality(table, task="binary", window="w")
    assert (quality.rows, quality.pending, quality.censored, quality.overall.labelled) == (4, 1, 1, 2)
    assert quality.overall.metrics["roc_auc"] == 1
    assert quality.by_version["2"].labelled == 0
    assert quality.by_version["2"].notes == ("no row has a label yet",)


def test_each_version_is_measured_on_its_own_rows():
    table = predictions([0.9, 0.1, 0.2, 0.8], [1.0, 0.0, 1.0, 0.0], version=[1, 1, 2, 2])
    by_version = assess_quality(table, task="binary", window="w").by_version
    assert {version: scores.metrics["roc_auc"] for version, scores in by_version.items()} == {"1": 1, "2": 0}


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_has_no_auc_and_says_why(label):
    overall = assess_quality(predictions([0.2, 0.4], [label, label]), task="binary", window="w").overall
    assert overall.metrics["roc_auc"] is None
    assert overall.metrics["brier"] == pytest.approx(np.mean((np.array([0.2, 0.4]) - label) ** 2))
    assert overall.notes == (f"roc_auc, average_precision: undefined where every label is {label:g}",)


def of_classes(probabilities, label, version=None):
    rows = len(label)
    return pa.table(
        {
            "score": pa.array([max(row) for row in probabilities], pa.float64()),
            "probabilities": pa.array(probabilities, pa.list_(pa.float64())),
            "label": label,
            "status": pa.array(["labelled"] * rows, pa.string()),
            "model_version": pa.array(version or [1] * rows, pa.int64()),
        }
    )


def test_metrics_of_several_classes_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    names, probabilities = np.array(["app", "store", "web"]), rng.dirichlet(np.ones(3), 200)
    place = np.array([rng.choice(3, p=row) for row in probabilities])
    table = of_classes(probabilities.tolist(), pa.array(names[place].tolist()))

    overall = assess_quality(table, task="multiclass", window="w", classes={1: tuple(names)}).overall

    predicted = probabilities.argmax(axis=1)
    assert overall.metrics == pytest.approx(
        {
            "log_loss": sk.log_loss(place, probabilities),
            "accuracy": sk.accuracy_score(place, predicted),
            "f1_macro": sk.f1_score(place, predicted, average="macro"),
            "roc_auc_ovr": sk.roc_auc_score(place, probabilities, multi_class="ovr"),
            "brier": sk.brier_score_loss(place, probabilities, labels=range(3)),
        }
    )
    assert overall.score_mean == pytest.approx(probabilities.max(axis=1).mean())
    assert (overall.label_mean, overall.notes) == (None, ())


@pytest.mark.parametrize("label", [pa.array([1, 2, 1]), pa.array(["1", "2", "1"]), pa.array([1.0, 2.0, 1.0])])
def test_labels_of_any_type_are_compared_with_the_names_of_the_classes(label):
    table = of_classes([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], label)
    quality = assess_quality(table, task="multiclass", window="w", classes={1: ("1", "2")})
    assert quality.overall.metrics["accuracy"] == pytest.approx(2 / 3)


def test_each_version_counts_its_probabilities_by_its_own_classes():
    table = of_classes([[0.9, 0.1], [0.7, 0.2, 0.1]], pa.array(["web", "app"]), version=[1, 2])
    classes = {1: ("web", "zoo"), 2: ("app", "store", "web")}
    quality = assess_quality(table, task="multiclass", window="w", classes=classes)
    assert quality.overall.metrics["accuracy"] == 1
    assert quality.overall.metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.7]).mean())
    assert quality.by_version["2"].metrics["log_loss"] == pytest.approx(-np.log(0.7))


def test_a_label_that_training_never_had_is_wrong_and_named():
    table = of_classes([[0.9, 0.1], [0.6, 0.4]], pa.array(["a", "new"]))
    overall = assess_quality(table, task="multiclass", window="w", classes={1: ("a", "b")}).overall
    assert overall.metrics["accuracy"] == 0.5
    assert overall.metrics["log_loss"] > 10
    assert overall.notes == ("labels that no version was trained on: new",)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_window_without_rows_is_a_quality_too(task):
    quality = assess_quality(predictions([], []), task=task, window="w")
    assert set(quality.overall.metrics.values()) == {None}
    assert Quality.from_json(quality.to_json()) == quality


def test_a_multiclass_window_without_labels_is_a_quality_too():
    table = of_classes([], pa.array([], pa.string()))
    quality = assess_quality(table, task="multiclass", window="w", classes={})
    assert (quality.overall.metrics["accuracy"], quality.overall.notes) == (None, ("no row has a label yet",))


def test_one_class_among_several_has_no_ranking_and_says_why():
    table = of_classes([[0.9, 0.1], [0.2, 0.8]], pa.array(["a", "a"]))
    overall = assess_quality(table, task="multiclass", window="w", classes={1: ("a", "b")}).overall
    assert overall.metrics["roc_auc_ovr"] is None
    assert overall.notes == ("roc_auc_ovr: undefined where every label is a",)
