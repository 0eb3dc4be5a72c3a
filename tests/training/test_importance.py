"""Importance falls on the features that matter, whatever the preprocessing makes of them."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.signature import Kind
from mlops_assets.training.fit import train
from mlops_assets.training.importance import importances
from mlops_assets.training.spec import SplitSpec, TrainingSpec

FEATURES: dict[str, Kind] = {"size": "numeric", "flow": "numeric", "colour": "categorical"}


def _train(table, task="binary", **spec):
    return train(
        table,
        task=task,
        features=FEATURES,
        request_inputs=[],
        split_spec=SplitSpec(),
        spec=TrainingSpec(**spec),
        label_delay=timedelta(days=2),
    )


def test_shares_of_all_features_sum_to_one_and_noise_has_least(table):
    shares = importances(_train(table), table)
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares) == ["size", "colour", "flow"]


@pytest.mark.parametrize(
    ("estimator", "weights"),
    [
        ("LogisticRegression", lambda made: np.abs(made.coef_[0])),
        ("DecisionTreeClassifier", lambda made: made.feature_importances_),
    ],
)
def test_others_give_their_own(table, estimator, weights):
    fitted = _train(table, estimator=f"sklearn.{estimator}")
    size, flow, green, red = weights(fitted.pipeline[-1])
    total = size + flow + green + red
    expected = {"size": size / total, "flow": flow / total, "colour": (green + red) / total}
    assert importances(fitted, table) == pytest.approx(expected)


def test_shap_of_stumps_is_what_can_be_summed_by_hand(table):
    """A sum of stumps is additive: the contribution of a split is its leaf less the mean of its leaves by cover."""
    rng = np.random.default_rng(0)
    colour = rng.choice(4, table.num_rows)  # the columns of some push up while others of the same row push down
    label = np.array([-2, 1, 0.4, 0])[colour] + rng.normal(size=table.num_rows) > 0
    table = table.set_column(1, "label", pa.array(label))
    table = table.set_column(4, "colour", pa.array(np.array(["amber", "blue", "cyan", "dun"])[colour]))
    fitted = _train(table, params={"max_depth": 1, "n_estimators": 40, "subsample": 1, "colsample_bytree": 1})
    rows = feature_frame(table.take(fitted.split.validation), fitted.signature)
    matrix = np.asarray(fitted.pipeline[0].transform(rows), dtype=np.float32)
    columns = ["size", "flow", *["colour"] * 4]
    by_hand = {name: np.zeros(len(matrix)) for name in FEATURES}
    trees = fitted.pipeline[-1].get_booster()[: fitted.recipe.params["n_estimators"]].trees_to_dataframe()
    for _, tree in trees.groupby("Tree"):
        split, left, right = (tree.iloc[i] for i in range(3))
        column = int(split.Feature[1:])
        leaf = np.where(matrix[:, column] < split.Split, left.Gain, right.Gain)
        mean = (left.Gain * left.Cover + right.Gain * right.Cover) / (left.Cover + right.Cover)
        by_hand[columns[column]] += leaf - mean
    means = {name: np.abs(values).mean() for name, values in by_hand.items()}
    expected = {name: value / sum(means.values()) for name, value in means.items()}
    assert importances(fitted, table) == pytest.approx(expected, rel=1e-3)


def test_an_estimator_without_importances_has_none(table):
    assert importances(_train(table, estimator="sklearn.KNeighborsClassifier"), table) == {}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_booster_of_lines_has_importances_too(table):
    fitted = _train(table, params={"booster": "gblinear", "tree_method": None, "n_estimators": 20})
    assert min(importances(fitted, table).items(), key=lambda one: one[1])[0] == "flow"


def test_rare_categories_count_for_their_feature(table):
    rare = [f"rare {i}" if i % 100 == 0 else str(colour) for i, colour in enumerate(table["colour"].to_pylist())]
    renamed = table.set_column(4, "colour", pa.array(rare))
    shares = importances(_train(renamed), renamed)
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == set(FEATURES)


def test_several_classes(table):
    size = np.array([value or 0 for value in table["size"].to_pylist()])
    three = table.set_column(1, "label", pa.array(np.digitize(size, [-0.5, 0.5]).astype(str)))
    shares = importances(_train(three, task="multiclass"), three)
    assert next(iter(shares)) == "size"
    assert sum(shares.values()) == pytest.approx(1)
