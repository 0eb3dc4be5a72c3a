"""From the columns of a request to the table that a model scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.serving.problems import RequestFunctionFailed, UnknownColumn, WrongValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import pyarrow as pa

    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.serving.body import Cell


def to_features(columns: Mapping[str, Sequence[Cell]], rows: int, predictor: Predictor) -> pa.Table:
    """Return every feature of the model: sent, computed from the request inputs, or null.

    A feature that is sent wins over the same feature computed.

    Raises:
        UnknownColumn: A column is neither a feature nor a request input.
        WrongValue: A value does not fit its column.
        RequestFunctionFailed: The request function raised.
    """
    import pyarrow as pa

    known = [*predictor.features, *(name for name in predictor.request_inputs if name not in predictor.features)]
    arrays = {name: _to_array(name, values, predictor.features.get(name)) for name, values in columns.items()}
    for name in arrays:
        if name not in known:
            raise UnknownColumn(name, known)
    computed = _compute(arrays, rows, predictor)
    return pa.table({name: arrays.get(name, computed.get(name, pa.nulls(rows))) for name in predictor.features})


def _compute(arrays: Mapping[str, pa.Array[Any]], rows: int, predictor: Predictor) -> dict[str, Any]:
    """Return the features that the request function computes; none if no input was sent."""
    from mlops_assets.features.request import computed_features

    inputs = predictor.request_inputs
    try:
        return computed_features(predictor.request_features, inputs, arrays, rows)
    except Exception as error:  # whatever a user's function raises about these values is an answer to the caller
        raise RequestFunctionFailed(inputs, f"{type(error).__name__}: {error}") from error


def _to_array(name: str, values: Sequence[Cell], kind: str | None) -> pa.Array[Any]:
    import pyarrow as pa

    if kind == "numeric":
        return pa.array([_to_float(name, row, value) for row, value in enumerate(values)], pa.float64())
    is_unknown = all(value is None for value in values)
    try:
        return pa.array(values, pa.string() if kind and is_unknown else None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        types = sorted({type(value).__name__ for value in values if value is not None})
        raise WrongValue(name, found=", ".join(types), required="values of one type, or null") from error


def _to_float(name: str, row: int, value: Cell) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        raise WrongValue(name, found=f"{value!r} in row {row}", required="a number, true, false or null")
    try:
        return float(value)
    except OverflowError as error:
        raise WrongValue(name, found=f"{value} in row {row}", required="a number below 1.8e308") from error
