import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import mannwhitneyu

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
    assert overall.notes == (f"roc_auc needs both classes; every label is {label:g}",)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_window_without_rows_is_a_quality_too(task):
    quality = assess_quality(predictions([], []), task=task, window="w")
    assert set(quality.overall.metrics.values()) == {None}
    assert Quality.from_json(quality.to_json()) == quality
