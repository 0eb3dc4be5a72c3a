"""From columns to a frame: tables, numpy columns and JSON-like columns give the same rows."""

import decimal
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.predictor.errors import MissingFeatures, WrongFeatureType
from mlops_assets.predictor.frame import LARGEST, MISSING, feature_frame
from mlops_assets.predictor.signature import Signature

NUMBER, CATEGORY = Signature({"x": "numeric"}, "binary"), Signature({"x": "categorical"}, "binary")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, None, 3]), [1.0, np.nan, 3.0]),
        (pa.array([True, False, None]), [1.0, 0.0, np.nan]),
        (pa.array([decimal.Decimal("1.25")]), [1.25]),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pa.nulls(2), [np.nan, np.nan]),
        (np.array([1.0, np.nan, np.inf, -np.inf]), [1.0, np.nan, np.nan, np.nan]),
        (np.array([1, None, 2.5], dtype=object), [1.0, np.nan, 2.5]),
        (np.array([1e300, -1e300]), [LARGEST, -LARGEST]),
        ([2**62], [float(2**62)]),
    ],
)
def test_numbers(column, expected):
    np.testing.assert_array_equal(feature_frame({"x": column}, NUMBER)["x"].to_numpy(), expected)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", None]), ["a", MISSING]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([1, None]), ["1", MISSING]),
        (np.array([1.0, np.nan]), ["1", MISSING]),  # the same column, as numpy has it when a value is missing
        (pa.array([True, False]), ["true", "false"]),
        (np.array(["a", None], dtype=object), ["a", MISSING]),
        (np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_categories(column, expected):
    assert feature_frame({"x": column}, CATEGORY)["x"].tolist() == expected


@pytest.mark.parametrize("column", [pa.array(["1.5"]), pa.array([datetime(2024, 1, 1, tzinfo=UTC)]), [1, "a"]])
def test_a_number_is_never_guessed_from_something_else(column):
    with pytest.raises(WrongFeatureType, match="numeric feature x"):
        feature_frame({"x": column}, NUMBER)


@pytest.mark.parametrize("column", [pa.array([[1]]), ["a", 1]])
def test_a_category_is_a_plain_value(column):
    with pytest.raises(WrongFeatureType, match="categorical feature x"):
        feature_frame({"x": column}, CATEGORY)


def test_a_missing_column_is_named():
    with pytest.raises(MissingFeatures, match="lack x: found y; required every feature"):
        feature_frame({"y": np.array([1.0])}, NUMBER)


@given(values=st.lists(st.none() | st.floats(allow_nan=False) | st.integers(-(2**52), 2**52), min_size=1))
def test_a_table_and_its_numpy_columns_give_the_same_frame(values):
    column = pa.array([None if value is None else float(value) for value in values], pa.float64())
    as_numpy = np.array([np.nan if value is None else float(value) for value in values])
    np.testing.assert_array_equal(
        feature_frame(pa.table({"x": column}), NUMBER).to_numpy(), feature_frame({"x": as_numpy}, NUMBER).to_numpy()
    )


def test_order_is_the_model_s_and_further_columns_are_ignored():
    signature = Signature({"b": "numeric", "a": "numeric"}, "binary")
    frame = feature_frame(pa.table({"a": [1.0], "key": ["k"], "b": [2.0]}), signature)
    assert frame.columns.tolist() == ["b", "a"]
