"""Scoring a window: a model whose score is known in closed form, on the real table store."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mlops_assets.lake.tables import read, replace_window
from mlops_assets.predictions.score import ReservedColumn, score_window
from mlops_assets.predictor.artifact import Predictor, load, save
from mlops_assets.predictor.golden import golden_rows
from mlops_assets.predictor.signature import Signature

T0 = datetime(2013, 1, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Scores `1 / (1 + exp(-(2 x - 1)))`, a missing x counting as 0."""
    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])
    model.coef_, model.intercept_ = np.array([[2.0]]), np.array([-1.0])
    pipeline = make_pipeline(FunctionTransformer(np.nan_to_num).set_output(transform="default"), model)
    signature = Signature({"x": "numeric"}, "binary")
    rows = golden_rows({"x": np.linspace(-3, 3, 40)}, signature)
    folder = tmp_path_factory.mktemp("model")
    save(folder, pipeline, signature=signature, rows=rows, facts={})
    return load(str(folder))


@pytest.fixture(scope="module")
def chooser(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Gives `small` the probability `1 / (1 + exp(-3 x))` and `large` the rest, a missing x counting as 0."""
    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0.0, 1.0])
    model.coef_, model.intercept_ = np.array([[3.0]]), np.array([0.0])
    pipeline = make_pipeline(FunctionTransformer(np.nan_to_num).set_output(transform="default"), model)
    signature = Signature({"x": "numeric"}, "multiclass", classes=("large", "small"))
    rows = golden_rows({"x": np.linspace(-3, 3, 40)}, signature)
    folder = tmp_path_factory.mktemp("chooser")
    save(folder, pipeline, signature=signature, rows=rows, facts={})
    return load(str(folder))


def vectors(*values: float | None) -> pa.Table:
    count = len(values)
    return pa.table(
        {
            "order_id": pa.array(range(count), pa.int64()),
            "prediction_time": pa.array([T0] * count, pa.timestamp("us", "UTC")),
            "label": pa.array([1] * count, pa.int64()),
            "label_known_at": pa.array([T0] * count, pa.timestamp("us", "UTC")),
            "x": pa.array(values, pa.float64()),
        }
    )


def test_scores_stand_beside_keys_and_features_and_labels_are_left_out(predictor: Predictor) -> None:
    scored = score_window(vectors(0.5, 2.0, None), predictor, model_version=7)

    assert scored.column_names == ["order_id", "prediction_time", "x", "score", "model_version"]
    expected = [1 / (1 + math.exp(-(2 * x - 1))) for x in (0.5, 2.0, 0.0)]
    assert scored["score"].to_pylist() == pytest.approx(expected, rel=1e-12)
    assert scored["model_version"].to_pylist() == [7, 7, 7]
    assert scored["order_id"].to_pylist() == [0, 1, 2]


def test_of_several_classes_the_most_probable_stands_beside_all_probabilities(
    chooser: Predictor, tmp_path: Path
) -> None:
    scored = score_window(vectors(-2.0, 0.0, None, 2.0), chooser, model_version=7)
    empty = score_window(vectors(), chooser, model_version=7)
    replace_window(str(tmp_path), scored, window="w")

    of_small = [1 / (1 + math.exp(-3 * x)) for x in (-2.0, 0.0, 0.0, 2.0)]
    assert read(str(tmp_path)).equals(scored)
    assert scored.column_names[3:] == ["predicted_class", "score", "probabilities", "model_version"]
    assert scored["predicted_class"].to_pylist() == ["large", "large", "large", "small"]  # of equals the first
    assert scored["score"].to_pylist() == pytest.approx([max(p, 1 - p) for p in of_small], rel=1e-12)
    found = [value for row in scored["probabilities"].to_pylist() for value in row]
    assert found == pytest.approx([value for p in of_small for value in (1 - p, p)], rel=1e-12)
    assert empty.schema == scored.schema


def test_an_empty_window_gives_no_rows_with_the_same_columns(predictor: Predictor) -> None:
    empty, one = (score_window(vectors(*values), predictor, model_version=7) for values in ((), (1.0,)))

    assert empty.num_rows == 0
    assert empty.schema == one.schema


@pytest.mark.parametrize("name", ["score", "predicted_class", "probabilities", "model_version"])
def test_a_column_that_scoring_would_add_is_refused(predictor: Predictor, name: str) -> None:
    table = vectors(1.0).append_column(name, pa.array([1.0]))

    with pytest.raises(ReservedColumn, match=f"columns to score: {name}"):
        score_window(table, predictor, model_version=7)
