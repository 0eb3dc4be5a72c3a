"""Lists of a request give what a table gives: the same values reach the function, the same values come back."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.features.request import (
    RequestFunctionFailed,
    WrongRequestInput,
    WrongRequestOutput,
    apply_request,
    computed_features,
)
from mlops_assets.features.request_values import apply_to_values

KINDS = {"n": "numeric", "flag": "numeric", "text": "categorical"}
ARROW = {"n": pa.float64(), "flag": pa.bool_(), "text": pa.string()}


def function(columns):
    shout = np.array([None if one is None else one.upper() for one in columns["text"]], dtype=object)
    return {
        "n": columns["n"],
        "text": columns["text"],
        "half": columns["n"] / 2,
        "both": (columns["n"] > 0) & (columns["flag"] == 1),
        "shout": shout,
        "words": np.array(["a"] * len(shout)),
        "count": np.array([0 if one is None else len(one) for one in columns["text"]]),
        "holes": np.array([np.nan if one is None else one for one in columns["text"]], dtype=object),
    }


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.none() | st.floats(allow_nan=False, allow_infinity=False, width=32),
            "flag": st.none() | st.booleans(),
            "text": st.none() | st.text(max_size=3),
        }
    ),
    min_size=1,
    max_size=4,
)


@given(ROWS)
def test_lists_give_what_a_table_gives(rows):
    values = {name: [row[name] for row in rows] for name in KINDS}
    table = pa.table({name: pa.array(values[name], ARROW[name]) for name in KINDS})

    assert (
        apply_to_values(function, values, KINDS, len(rows)) == apply_request(function, list(KINDS), table).to_pydict()
    )


def test_a_text_input_that_is_null_in_every_row_is_none_as_in_training():
    def upper(columns):
        return {"out": np.array([one is None for one in columns["text"]], dtype=float)}

    assert apply_to_values(upper, {"text": [None, None]}, {"text": "categorical"}, 2) == {"out": [1.0, 1.0]}
    by_table = computed_features(upper, ["text"], {"text": pa.nulls(2)}, 2, kinds={"text": "categorical"})
    assert by_table["out"].to_pylist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "kinds"),
    [({"n": ["1"]}, {"n": "numeric"}), ({"n": [1, "a"]}, {}), ({"n": [1]}, {"n": "categorical"})],
    ids=["text for a number", "two types", "a number for text"],
)
def test_an_input_of_another_type_is_refused(values, kinds):
    with pytest.raises(WrongRequestInput, match="request input n"):
        apply_to_values(lambda columns: {"out": columns["n"]}, values, kinds, len(values["n"]))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda columns: {"n": columns["n"] + 1}, WrongRequestOutput),
        (lambda columns: {"out": columns["n"][:1]}, WrongRequestOutput),
        (lambda columns: {"out": np.array([1, "a"], dtype=object)}, WrongRequestOutput),
        (lambda columns: {}, WrongRequestOutput),
        (lambda columns: columns["n"].sort(), RequestFunctionFailed),
        (lambda columns: columns["gone"], RequestFunctionFailed),
    ],
    ids=["changed input", "shape", "mixed", "nothing", "writes", "raises"],
)
def test_a_function_that_does_wrong_is_named_for_lists_as_for_tables(wrong, error):
    with pytest.raises(error):
        apply_to_values(wrong, {"n": [3.0, 1.0]}, {"n": "numeric"}, 2)
    with pytest.raises(error):
        apply_request(wrong, ["n"], pa.table({"n": [3.0, 1.0]}))
