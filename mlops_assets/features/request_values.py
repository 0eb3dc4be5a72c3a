"""Request features of a few rows, such as one request has: lists in, lists out, by the rules of `request.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.features.request import WrongRequestInput, call, changed_input, replaced_inputs, to_arrow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from mlops_assets.predictor.request import RequestFeatures
    from mlops_assets.predictor.signature import Kind

    Array = np.ndarray[Any, Any]

TEXT, NOTHING = frozenset({str}), frozenset({type(None)})


def apply_to_values(
    function: RequestFeatures, values: Mapping[str, Sequence[Any]], kinds: Mapping[str, Kind], rows: int
) -> dict[str, list[Any]]:
    """Return what `request.apply_request` returns, with None where it has null.

    Args:
        values: By input; numbers and booleans, or text, and None.
        kinds: Kind of the inputs, so that one that is null in every row has its type all the same. One that is left out
            has the type of its values.

    Raises:
        MlopsError: See `request.apply_request`.
    """
    columns = {name: _to_array(name, given, kinds.get(name)) for name, given in values.items()}
    outputs = call(function, columns, rows)
    lists = {
        name: _plain(values[name], array) if columns.get(name) is array else _to_values(name, array, rows)
        for name, array in outputs.items()
    }
    for name in replaced_inputs(outputs, columns):
        if lists[name] != _to_values(name, columns[name], rows):
            raise changed_input(name)
    return lists


def _plain(given: Sequence[Any], array: Array) -> list[Any]:
    """Return the values of an input that the function handed through."""
    if array.dtype == object:
        return list(given)
    return [number if number == number else None for number in array.tolist()]  # noqa: PLR0124  NaN


def _to_array(name: str, given: Sequence[Any], kind: Kind | None) -> Array:
    import numpy as np

    types = {*map(type, given)} - NOTHING
    is_text = kind == "categorical" or (kind is None and str in types)
    if types - TEXT if is_text else types & TEXT:
        raise WrongRequestInput(name, ", ".join(sorted(one.__name__ for one in types)))
    return np.array(given, dtype=object if is_text else np.float64)


def _to_values(name: str, values: object, rows: int) -> list[Any]:
    """Return what `to_arrow` makes of an array; the common kinds of arrays need no Arrow for it."""
    import numpy as np

    array = np.asarray(values)
    if array.shape == (rows,):
        if array.dtype.kind in "fiub":
            numbers = array.astype(np.float64).tolist()
            return [number if number == number else None for number in numbers]  # noqa: PLR0124  NaN
        texts = array.tolist()
        if all(text is None or type(text) is str for text in texts):
            return texts
    return to_arrow(name, values, rows).to_pylist()
