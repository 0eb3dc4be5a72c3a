"""Rows that stay in their file: the same split, bins, trees and scores as rows in memory, bit for bit."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from mlops_assets.lake import stored_table
from mlops_assets.lake.stored_table import StoredTable
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.training import stream
from mlops_assets.training.errors import AllCensored, NoWeightColumn, TooFewRows, WrongLabel
from mlops_assets.training.fit import refit, train
from mlops_assets.training.spec import SplitSpec, TrainingSpec
from mlops_assets.training.split import split
from mlops_assets.training.stream import sample

FEATURES = {"size": "numeric", "flow": "numeric", "colour": "categorical"}
PARAMS = {"n_estimators": 40, "learning_rate": 0.3, "subsample": 0.7, "colsample_bytree": 0.7}


@pytest.fixture(scope="module")
def rich(table):
    """Rows with missing numbers and categories, rare and empty ones, and a weight."""
    rng, count = np.random.default_rng(1), table.num_rows
    colour = [
        None if i % 31 == 0 else ("rare" if i % 97 == 0 else one) for i, one in enumerate(table["colour"].to_pylist())
    ]
    flow = np.where(rng.random(count) < 0.1, np.nan, table["flow"].to_numpy())
    return (
        table.set_column(table.column_names.index("colour"), "colour", pa.array(colour))
        .set_column(table.column_names.index("flow"), "flow", pa.array(flow))
        .append_column("weight", pa.array(rng.random(count)))
    )


@pytest.fixture
def store(tmp_path):
    def write(table, rows=300):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
        pq.write_table(table, path, row_group_size=rows)
        return StoredTable(path)

    return write


def _train(table, task="binary", **spec):
    return train(
        table,
        task=task,
        features=FEATURES,
        request_inputs=[],
        split_spec=SplitSpec(),
        spec=TrainingSpec(**{"params": PARAMS, "early_stopping_rounds": 5, **spec}),
        label_delay=timedelta(days=2),
    )


def _booster(fitted):
    estimator = fitted.pipeline[-1]
    return bytes(getattr(estimator, "get_booster", lambda: None)().save_raw())


@pytest.mark.parametrize("batch", [97, 100_000])
@pytest.mark.parametrize("cells", [0, 10**9], ids=["scratch", "memory"])
def test_the_model_is_that_of_rows_in_memory(rich, store, monkeypatch, batch, cells):
    monkeypatch.setattr(stored_table, "BATCH_ROWS", batch)
    monkeypatch.setattr(stream, "CELLS_IN_MEMORY", cells)
    ours, expected = _train(store(rich), data="stream"), _train(rich)
    assert _booster(ours) == _booster(expected)
    assert ours.recipe == expected.recipe
    assert 0 < ours.recipe.params["n_estimators"] < PARAMS["n_estimators"]  # stopped by validation
    assert (ours.metrics, ours.curves) == (expected.metrics, expected.curves)
    frame = feature_frame(rich, ours.signature)
    np.testing.assert_array_equal(ours.pipeline.predict_proba(frame), expected.pipeline.predict_proba(frame))
    assert ours.trained_through == expected.trained_through


@pytest.mark.parametrize(
    "spec",
    [
        {"sample_weight": "weight"},
        {"class_weights": "balanced"},
        {"monotone": {"size": "increasing"}},
        {"preprocessing": {"size": {"impute": "none"}, "colour": {"encode": "ordinal"}}},
        {"early_stopping_rounds": None},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_every_choice_of_the_file_means_the_same(rich, store, spec):
    assert _booster(_train(store(rich), **spec)) == _booster(_train(rich, **spec))


def test_calibration_and_refit_are_those_of_rows_in_memory(rich, store):
    ours, expected = _train(store(rich), calibration="platt"), _train(rich, calibration="platt")
    np.testing.assert_array_equal(ours.validation_scores, expected.validation_scores)
    frame = feature_frame(rich, ours.signature)
    again, likewise = (
        refit(rows, one.recipe, signature=one.signature, candidate=one.pipeline)
        for rows, one in ((store(rich), ours), (rich, expected))
    )
    np.testing.assert_array_equal(again.predict_proba(frame), likewise.predict_proba(frame))


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_other_tasks(rich, store, task):
    signal = np.nan_to_num(rich["size"].to_numpy()) + np.nan_to_num(rich["flow"].to_numpy())
    label = (
        pa.array(signal)
        if task == "regression"
        else pa.array(np.array(["low", "mid", "top"])[np.digitize(signal, [-0.5, 0.5])])
    )
    rows = rich.set_column(rich.column_names.index("label"), "label", label)
    ours, expected = _train(store(rows), task), _train(rows, task)
    assert _booster(ours) == _booster(expected)
    np.testing.assert_array_equal(ours.validation_scores, expected.validation_scores)


def test_the_split_and_its_errors_are_those_of_a_table(rich, store):
    for rows in (rich, rich.take(np.random.default_rng(0).permutation(rich.num_rows))):
        ours, expected = (
            split(one, SplitSpec(), task="binary", label_delay=timedelta(0)) for one in (store(rows), rows)
        )
        for name in ("train", "validation", "test", "train_until", "test_after"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(expected, name))
    nothing = rich.set_column(1, "label", pa.nulls(rich.num_rows, pa.bool_()))
    holes = rich.set_column(1, "label", pa.array([None, *rich["label"].to_pylist()[1:]]))
    for rows, error in (
        (nothing, AllCensored),
        (rich.slice(0, 0), AllCensored),
        (holes, WrongLabel),
        (rich.slice(0, 400), TooFewRows),
    ):
        with pytest.raises(error):
            split(store(rows), SplitSpec(), task="binary", label_delay=timedelta(0))
    with pytest.raises(NoWeightColumn, match="size"):
        _train(store(rich), sample_weight="no_such_column")


def test_rows_in_another_order_teach_nearly_the_same(rich, store):
    shuffled = rich.take(np.random.default_rng(0).permutation(rich.num_rows))
    plain = {"params": {"n_estimators": 20}, "early_stopping_rounds": None}  # no subsample of rows, so no dice
    ours, expected = _train(store(shuffled), **plain), _train(rich, **plain)
    assert ours.metrics["validation_roc_auc"] == pytest.approx(expected.metrics["validation_roc_auc"], abs=0.02)


def test_a_sample_is_seeded_in_order_and_without_repeats(rich, store, monkeypatch):
    monkeypatch.setattr(stream, "SAMPLE_ROWS", 200)
    numbered = store(pa.table({"n": range(1600)}))
    rows = np.arange(100, 1500)
    first, again, other = (sample(numbered, rows, seed=seed)["n"].to_numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len(first) == 200
    assert (np.diff(first) > 0).all()
    assert np.isin(first, rows).all()
    fitted = _train(store(rich))
    assert fitted.metrics["validation_roc_auc"] > 0.85  # preprocessing knows a part of the rows only


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"estimator": "sklearn.LogisticRegression"}, "found sklearn.LogisticRegression with data: stream"),
        ({"params": {"tree_method": "exact"}}, "found tree_method exact"),
        ({"params": {"booster": "gblinear"}}, "found booster gblinear"),
        ({"preprocessing": {"colour": {"encode": "target"}}}, "found encode: target of colour"),
        ({"tuning": {"space": {"max_depth": [3, 4]}}}, "found tuning with data: stream"),
    ],
)
def test_what_needs_all_rows_at_once_is_refused(spec, found):
    with pytest.raises(ValidationError, match=found):
        TrainingSpec(data="stream", **spec)


@pytest.mark.parametrize(
    "params", [{"booster": "dart", "rate_drop": 0.3}, {"grow_policy": "lossguide", "max_leaves": 9}]
)
def test_other_kinds_of_trees(rich, store, monkeypatch, params):
    monkeypatch.setattr(stream, "CELLS_IN_MEMORY", 0)
    chosen = {"params": {**PARAMS, **params}, "early_stopping_rounds": None}
    assert _booster(_train(store(rich), **chosen)) == _booster(_train(rich, **chosen))
