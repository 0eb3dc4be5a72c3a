"""Preprocessing by feature: what the file says, the rest inferred, against numpy and scikit-learn."""

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import TargetEncoder

from mlops_assets.predictor import artifact
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.scoring import score
from mlops_assets.predictor.signature import Signature
from mlops_assets.training.abilities import EstimatorCannot
from mlops_assets.training.estimators import recipe_of
from mlops_assets.training.pipeline import preprocessing, sources
from mlops_assets.training.preprocessing_spec import PreprocessingSpec
from mlops_assets.training.spec import TrainingSpec
from tests.training.learning import FEATURES, fitted_on, rows, with_column

SIGNATURE = Signature(FEATURES, "binary")


@pytest.fixture(scope="module")
def table():
    return rows()


def prepared(table, signature=SIGNATURE, *, estimator="xgboost", seed=0, **features):
    """Return the fitted transformer, what fitting it made of the rows, and the labels."""
    spec = TrainingSpec(estimator=estimator, seed=seed, preprocessing=features)
    prepare = preprocessing(signature, recipe_of(spec))
    y = np.unique(table["label"].to_numpy(), return_inverse=True)[1].astype(float)
    return prepare, prepare.fit_transform(feature_frame(table, signature), y), y


def column(prepare, matrix, feature):
    return matrix[:, [source == feature for source in sources(prepare)]]


@pytest.mark.parametrize(
    ("settings", "fill"),
    [
        ({"impute": "median"}, np.nanmedian),
        ({"impute": "mean"}, np.nanmean),
        ({"impute": "constant", "fill": -7}, lambda _: -7),
        ({}, np.nanmedian),
    ],
)
def test_missing_numbers(table, settings, fill):
    size = table["size"].to_numpy()
    prepare, matrix, _ = prepared(table, size=settings)
    np.testing.assert_allclose(column(prepare, matrix, "size")[:, 0], np.where(np.isnan(size), fill(size), size))


def test_the_most_frequent_number_stands_for_missing_ones(table):
    size = np.where(np.arange(table.num_rows) % 3 == 0, 4.0, table["size"].to_numpy())
    prepare, matrix, _ = prepared(with_column(table, "size", size), size={"impute": "most_frequent"})
    np.testing.assert_array_equal(column(prepare, matrix, "size")[:, 0], np.where(np.isnan(size), 4.0, size))


@pytest.mark.parametrize(
    ("scale", "scaled"),
    [
        ("standard", lambda x: (x - x.mean()) / x.std()),
        ("robust", lambda x: (x - np.median(x)) / np.subtract(*np.percentile(x, [75, 25]))),
        ("min_max", lambda x: (x - x.min()) / np.ptp(x)),
        ("none", lambda x: x),
    ],
)
def test_scales(table, scale, scaled):
    prepare, matrix, _ = prepared(table, estimator="sklearn.LogisticRegression", flow={"scale": scale})
    np.testing.assert_allclose(column(prepare, matrix, "flow")[:, 0], scaled(table["flow"].to_numpy()))


def test_the_inferred_scale_is_standard_but_none_for_xgboost(table):
    flow = table["flow"].to_numpy()
    prepare, matrix, _ = prepared(table)
    np.testing.assert_array_equal(column(prepare, matrix, "flow")[:, 0], flow)
    prepare, matrix, _ = prepared(table, estimator="sklearn.Ridge")
    np.testing.assert_allclose(column(prepare, matrix, "flow")[:, 0], (flow - flow.mean()) / flow.std())


def test_target_encoding_is_that_of_scikit_learn_and_cross_fitted(table):
    prepare, matrix, y = prepared(table, colour={"encode": "target"}, seed=3)
    encoder = TargetEncoder(cv=StratifiedKFold(5, shuffle=True, random_state=3), target_type="binary")
    colours = table["colour"].to_numpy().reshape(-1, 1)
    np.testing.assert_allclose(column(prepare, matrix, "colour"), encoder.fit_transform(colours, y))
    later = column(prepare, prepare.transform(feature_frame(table, SIGNATURE)), "colour")
    np.testing.assert_allclose(later, encoder.transform(colours))
    assert abs(later - column(prepare, matrix, "colour")).max() > 0


def test_target_encoding_has_a_column_for_each_of_several_classes():
    table = rows("multiclass")
    signature = Signature(FEATURES, "multiclass", (), ("high", "low", "mid"))
    prepare, _, y = prepared(table, signature, colour={"encode": "target"})
    found = column(prepare, prepare.transform(feature_frame(table, signature)), "colour")
    is_red = table["colour"].to_numpy() == "red"
    shares = [(y[is_red] == place).mean() for place in range(3)]
    np.testing.assert_allclose(found[is_red][0], shares, atol=0.02)  # smoothing moves them a little
    assert sources(prepare) == ["size", "flow", "colour", "colour", "colour"]


def test_target_encoding_of_a_regression_on_whole_numbers_is_one_mean(table):
    table = with_column(table, "label", np.arange(table.num_rows) % 7)
    prepare, _, y = prepared(table, Signature(FEATURES, "regression"), colour={"encode": "target"})
    assert sources(prepare) == ["size", "flow", "colour"]
    found = column(prepare, prepare.transform(feature_frame(table, SIGNATURE)), "colour")[:, 0]
    is_red = table["colour"].to_numpy() == "red"
    np.testing.assert_allclose(found[is_red], y[is_red].mean(), atol=0.05)


def test_ordinal_encoding_counts_the_alphabet_and_unseen_categories_are_below(table):
    prepare, matrix, _ = prepared(table, colour={"encode": "ordinal"})
    places = {"blue": 0, "green": 1, "red": 2}
    expected = [places[colour] for colour in table["colour"].to_pylist()]
    np.testing.assert_array_equal(column(prepare, matrix, "colour")[:, 0], expected)
    unseen = feature_frame(with_column(table, "colour", ["mauve"] * table.num_rows), SIGNATURE)
    assert set(column(prepare, prepare.transform(unseen), "colour")[:, 0]) == {-1}


@pytest.mark.parametrize(
    ("settings", "columns"), [({}, 3), ({"rarest": 400}, 3), ({"rarest": 700}, 2), ({"most": 2}, 2)]
)
def test_rare_categories_share_a_column(table, settings, columns):
    prepare, matrix, _ = prepared(table, colour=settings)
    found = column(prepare, matrix, "colour")
    assert found.shape[1] == columns
    assert (found.sum(axis=1) == 1).all()


def test_the_source_of_each_column_is_the_one_that_scikit_learn_names(table):
    signature = Signature({**FEATURES, "shade": "categorical", "tone": "categorical"}, "binary")
    table = table.append_column("shade", table["colour"]).append_column("tone", table["colour"])
    prepare, *_ = prepared(table, signature, size={"scale": "robust"}, shade={"encode": "target"}, tone={"most": 2})
    names = [str(name).split("_")[0] for name in prepare.get_feature_names_out()]
    assert sources(prepare) == names
    assert sorted(set(names)) == ["colour", "flow", "shade", "size", "tone"]


def test_xgboost_takes_missing_numbers_as_they_are(table):
    fitted = fitted_on(table, preprocessing={"size": {"impute": "none"}})
    matrix = fitted.pipeline[0].transform(feature_frame(table, fitted.signature))
    assert np.isnan(matrix).sum() == table["size"].null_count
    assert np.isfinite(score(fitted.pipeline, table, fitted.signature)).all()


def test_an_estimator_that_fails_on_missing_values_must_not_get_them(table):
    with pytest.raises(EstimatorCannot, match=r"preprocessing\.size\.impute with .*fails on missing values"):
        fitted_on(table, estimator="sklearn.LogisticRegression", preprocessing={"size": {"impute": "none"}})


EVERYTHING = {
    "size": {"impute": "none", "scale": "min_max"},
    "colour": {"encode": "target"},
    "flow": {"scale": "robust"},
}


def test_the_same_input_gives_the_same_bytes_and_another_seed_others(table):
    def booster(**spec):
        pipeline = fitted_on(
            table, preprocessing=EVERYTHING, params={"subsample": 1, "colsample_bytree": 1}, **spec
        ).pipeline
        return bytes(pipeline[-1].get_booster().save_raw())

    assert booster() == booster()
    assert booster() != booster(seed=1)  # nothing but the folds of the encoding depends on it


@pytest.mark.parametrize("encode", ["target", "ordinal"])
def test_a_saved_model_scores_alike(table, tmp_path, encode):
    fitted = fitted_on(table, preprocessing={**EVERYTHING, "colour": {"encode": encode}}, calibration="isotonic")
    artifact.save(tmp_path, fitted.pipeline, signature=fitted.signature, rows=table, facts={})
    odd = with_column(table, "colour", pa.array([None, "mauve"] * 800))
    np.testing.assert_array_equal(
        artifact.load(str(tmp_path)).predict(odd), score(fitted.pipeline, odd, fitted.signature)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"impute": "mean", "encode": "target"}, "found impute beside encode; required keys of a number"),
        ({"impute": "constant"}, "required both"),
        ({"fill": 3}, "required both"),
        ({"encode": "target", "most": 5}, "required with `one_hot` only"),
        ({"impute": "constant", "fill": float("nan")}, "finite"),
        ({"encode": "hash"}, "one_hot"),
    ],
)
def test_keys_that_do_not_go_together(settings, message):
    with pytest.raises(ValidationError, match=message):
        PreprocessingSpec(**settings)
