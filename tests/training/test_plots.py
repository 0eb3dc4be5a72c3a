"""Pictures of scores and trainings, and how much each feature matters."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from mlops_assets.training.plots import score_plots, training_plots

RNG = np.random.default_rng(0)
Y = (RNG.random(500) < 0.3).astype(float)
SCORES = np.clip(0.3 * Y + 0.5 * RNG.random(500), 0, 1)
CLASSES = ["ash", "birch", "cedar"]
PLACES = RNG.integers(0, 3, 500).astype(float)
PROBABILITIES = RNG.dirichlet([1, 1, 1], 500) + 0.5 * np.eye(3)[PLACES.astype(int)]
PROBABILITIES /= PROBABILITIES.sum(axis=1, keepdims=True)
KINDS = {"confusion", "roc", "pr", "calibration"}


@pytest.fixture
def drawn(monkeypatch):
    """Collect what is written on the axes: texts, labels of legends, lines."""
    found = {"text": [], "label": [], "bins": []}
    text, plot, step = Axes.text, Axes.plot, Axes.step

    def spy(original):
        def call(axes, *args, **options):
            found["label"].append(options.get("label", ""))
            if options.get("marker") == "o":
                found["bins"].append([np.asarray(one) for one in args])
            return original(axes, *args, **options)

        return call

    monkeypatch.setattr(Axes, "plot", spy(plot))
    monkeypatch.setattr(Axes, "step", spy(step))
    monkeypatch.setattr(
        Axes, "text", lambda axes, *args, **o: (found["text"].append(args[2]), text(axes, *args, **o))[1]
    )
    return found


def _small_png(pictures):
    return all(png.startswith(b"\x89PNG") and len(png) < 60_000 for png in pictures.values())


def test_a_binary_model_has_four_pictures_named_after_the_rows(drawn):
    from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

    pictures = score_plots(Y, SCORES, task="binary", classes=(), part="test")
    assert set(pictures) == {f"test_{kind}" for kind in KINDS}
    assert _small_png(pictures)
    assert drawn["text"] == [str(count) for count in confusion_matrix(Y, SCORES > 0.5).ravel()]
    assert f" {roc_auc_score(Y, SCORES):.3f}" in drawn["label"]
    assert f" {average_precision_score(Y, SCORES):.3f}" in drawn["label"]


def test_a_multiclass_model_is_drawn_one_class_against_the_rest(drawn):
    from sklearn.metrics import confusion_matrix, roc_auc_score

    pictures = score_plots(PLACES, PROBABILITIES, task="multiclass", classes=CLASSES, part="validation")
    assert set(pictures) == {f"validation_{kind}" for kind in KINDS}
    assert _small_png(pictures)
    assert drawn["text"] == [str(n) for n in confusion_matrix(PLACES, PROBABILITIES.argmax(axis=1)).ravel()]
    for place, name in enumerate(CLASSES):
        assert f"{name} {roc_auc_score(place == PLACES, PROBABILITIES[:, place]):.3f}" in drawn["label"]
    ((said, observed),) = drawn["bins"]
    top, right = PROBABILITIES.max(axis=1), PROBABILITIES.argmax(axis=1) == PLACES
    lowest = top <= np.quantile(top, 0.1)
    assert (said[0], observed[0]) == pytest.approx((top[lowest].mean(), right[lowest].mean()), abs=0.02)


def test_a_class_that_no_row_has_and_many_classes_are_no_obstacle():
    classes = [f"class {i}" for i in range(30)]
    y = RNG.integers(0, 29, 300).astype(float)
    scores = RNG.dirichlet(np.ones(30), 300)
    assert _small_png(score_plots(y, scores, task="multiclass", classes=classes, part="validation"))


def test_a_regression_has_residuals():
    pictures = score_plots(SCORES, SCORES + 0.1, task="regression", classes=(), part="validation")
    assert set(pictures) == {"validation_residuals"}
    assert _small_png(pictures)


def test_a_training_is_drawn_as_far_as_there_is_something_to_show():
    assert training_plots({}, {}) == {}
    pictures = training_plots({"train_logloss": [0.6, 0.5]}, {"size": 0.8, "flow": 0.2})
    assert set(pictures) == {"curves", "importance"}
    assert _small_png(pictures)
