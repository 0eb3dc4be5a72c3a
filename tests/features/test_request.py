"""Request features: the same arrays for every caller, and a clear word about a function that does wrong."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.features.request import (
    RequestFileUnreadable,
    RequestFunctionFailed,
    WrongRequestInput,
    WrongRequestOutput,
    apply_request,
    read_request,
)
from mlops_assets.features.spec import RequestSpec
from mlops_assets.predictor.errors import NoRequestFunction

TABLE = pa.table({"n": pa.array([1, None, 3], pa.int32()), "text": ["a", None, "c"], "flag": [True, None, False]})


def seen(*columns: pa.Array) -> np.ndarray:
    """Return what a function sees of a column, however Arrow stores it."""
    caught = {}

    def function(arrays):
        caught.update(arrays)
        return {"out": np.zeros(len(arrays["x"]))}

    apply_request(function, ["x"], pa.table({"x": pa.chunked_array(list(columns))}))
    return caught["x"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, None, 3], pa.int8()),
        pa.array([1, None, 3], pa.uint64()),
        pa.array([1.0, None, 3.0], pa.float32()),
        pa.array([1, None, 3], pa.int64()).dictionary_encode(),
        pa.array([1, None, 3], pa.int64()).cast(pa.decimal128(21, 2)),
        pa.array([1.0, float("nan"), 3.0]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_number_is_float64_with_nan_for_null_from_any_type(column):
    array = seen(column)

    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [1.0, np.nan, 3.0])


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), "dictionary"], ids=str)
def test_text_is_an_object_array_with_none_for_null_from_any_type(kind):
    column = pa.array(["a", None, "c"])
    array = seen(column.dictionary_encode() if kind == "dictionary" else column.cast(kind))

    assert array.dtype == object
    assert array.tolist() == ["a", None, "c"]


def test_a_boolean_is_a_number():
    np.testing.assert_array_equal(seen(pa.array([True, None, False])), [1.0, np.nan, 0.0])


def test_chunks_and_no_rows_make_no_difference():
    np.testing.assert_array_equal(seen(pa.array([1, 2]), pa.array([3])), [1, 2, 3])
    assert seen(pa.array([], pa.int64())).shape == (0,)


def test_one_row_alone_gives_what_it_gives_among_others():
    def function(columns):
        known = np.array([0.0 if text is None else len(text) for text in columns["text"]])
        return {"sum": columns["n"] + known, "copy": columns["text"]}

    together = apply_request(function, ["n", "text"], TABLE)
    alone = [apply_request(function, ["n", "text"], TABLE.slice(row, 1)) for row in range(3)]

    assert together.to_pylist() == [{"sum": 2.0, "copy": "a"}, {"sum": None, "copy": None}, {"sum": 4.0, "copy": "c"}]
    assert [row for table in alone for row in table.to_pylist()] == together.to_pylist()
    assert all(table.schema == together.schema for table in alone)


@pytest.mark.parametrize("column", [pa.array([0], pa.timestamp("us")), pa.array([[1]]), pa.array([b"x"])])
def test_an_input_that_json_cannot_carry_is_refused(column):
    with pytest.raises(WrongRequestInput, match="request input x: found type"):
        seen(column)


def write_into_input(columns):
    columns["n"][0] = 99
    return {"out": columns["n"]}


def test_a_function_cannot_write_into_its_inputs():
    with pytest.raises(RequestFunctionFailed, match="read-only"):
        apply_request(write_into_input, ["n"], TABLE)

    assert TABLE["n"].to_pylist() == [1, None, 3]


def test_the_failure_of_a_function_is_told_with_its_inputs():
    with pytest.raises(RequestFunctionFailed, match=r"request_features\(n, text\) on 3 rows: found KeyError: 'm'"):
        apply_request(lambda columns: {"out": columns["m"]}, ["n", "text"], TABLE)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (None, "found NoneType"),
        ({}, "found an empty dict"),
        ({"out": np.zeros(2)}, r"output out: found shape \(2,\).*required shape \(3,\)"),
        ({"out": 1.0}, r"found shape \(\)"),
        ({"out": np.zeros((3, 1))}, r"found shape \(3, 1\)"),
        ({"out": np.array([1, None, 3])}, "found object .*required numbers or text"),
        ({"out": np.zeros(3, "datetime64[s]")}, "required numbers or text"),
        ({"out": np.zeros(3, complex)}, "required numbers or text"),
        ({1: np.zeros(3)}, "found a name of type int"),
        ({"n": np.zeros(3)}, "output n: found other values than the input of that name"),
    ],
)
def test_what_is_no_set_of_features_is_refused(outputs, message):
    with pytest.raises(WrongRequestOutput, match=message):
        apply_request(lambda columns: outputs, ["n"], TABLE)


def test_an_input_may_be_passed_on_unchanged():
    assert apply_request(lambda columns: columns, ["n", "text"], TABLE).to_pydict() == {
        "n": [1.0, None, 3.0],
        "text": ["a", None, "c"],
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1, 2, 3], np.int8), [1.0, 2.0, 3.0]),
        (np.array([True, False, True]), [1.0, 0.0, 1.0]),
        (np.array([1, np.nan, np.inf]), [1.0, None, float("inf")]),
        (np.array(["a", "b", "c"]), ["a", "b", "c"]),
        (np.array(["a", None, np.nan], object), ["a", None, None]),
        ([1, 2, 3], [1.0, 2.0, 3.0]),
    ],
)
def test_outputs_become_numbers_or_text(values, expected):
    assert apply_request(lambda columns: {"out": values}, ["n"], TABLE)["out"].to_pylist() == expected


def test_a_request_without_a_function_is_its_inputs(tmp_path):
    request = read_request(RequestSpec(inputs=["n"]), base=tmp_path)

    assert (request.inputs, request.function, request.sha256) == (("n",), None, None)


def test_the_function_is_loaded_from_beside_the_yaml(tmp_path: Path):
    (tmp_path / "made.py").write_text("def request_features(columns):\n    return {'twice': columns['n'] * 2}\n")

    request = read_request(RequestSpec(inputs=["n"], file="made.py"), base=tmp_path)

    assert request.function is not None
    assert apply_request(request.function, request.inputs, TABLE)["twice"].to_pylist() == [2.0, None, 6.0]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (None, RequestFileUnreadable, "no such file"),
        ("def broken(:", RequestFileUnreadable, "SyntaxError"),
        ("1 / 0", RequestFileUnreadable, "ZeroDivisionError"),
        ("x = 1", NoRequestFunction, "request_features"),
    ],
)
def test_a_file_that_gives_no_function_is_refused(tmp_path: Path, source, error, message):
    if source is not None:
        (tmp_path / "made.py").write_text(source)

    with pytest.raises(error, match=message):
        read_request(RequestSpec(inputs=["n"], file="made.py"), base=tmp_path)
