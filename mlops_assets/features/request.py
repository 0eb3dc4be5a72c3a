"""Request features: one function on numpy columns, called by training, batch scoring and serving alike.

What the function sees does not depend on the caller: numbers and booleans are float64 with NaN for null, text is an object
array with None for null. Ids too large for a float64 (2**53) travel as text.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.predictor.request import FUNCTION, load_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from mlops_assets.features.spec import RequestSpec
    from mlops_assets.predictor.request import RequestFeatures
    from mlops_assets.predictor.signature import Kind

    Array = np.ndarray[Any, Any]


class RequestFileUnreadable(MlopsError):
    """The file of the request function is missing, or does not run."""

    def __init__(self, path: Path, found: str) -> None:
        super().__init__(
            f"request.file {path}",
            found=found,
            required=f"a Python file that defines {FUNCTION}(columns) -> columns",
            remedy="Correct the file; its path counts from the folder of the YAML.",
        )


class RequestFunctionFailed(MlopsError):
    """The request function raised."""

    def __init__(self, inputs: Sequence[str], rows: int, error: Exception) -> None:
        super().__init__(
            f"{FUNCTION}({', '.join(inputs)}) on {rows} rows",
            found=f"{type(error).__name__}: {error}",
            required="a dict of arrays, the inputs left as they are",
            remedy="Correct the function; nulls reach it as NaN (numbers) and None (text).",
        )


class WrongRequestInput(MlopsError):
    """An input has a type that a JSON request cannot carry, so training and serving would see different values."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(
            f"request input {name}",
            found=f"type {found}",
            required="numbers, booleans or text, as a JSON request carries them",
            remedy="Cast it in the spine's SQL; of a time, select the parts that the function needs.",
        )


class WrongRequestOutput(MlopsError):
    """The request function returned something that is no set of features."""

    def __init__(self, name: str, *, found: str, required: str) -> None:
        super().__init__(f"{FUNCTION}, output {name}", found=found, required=required, remedy="Correct the function.")


@dataclass(frozen=True)
class Request:
    """What a caller sends, and the function that makes features of it; without one, the inputs are the features."""

    inputs: tuple[str, ...] = ()
    function: RequestFeatures | None = None
    source: bytes | None = None

    @property
    def sha256(self) -> str | None:
        """Return the digest of the function's source."""
        return None if self.source is None else hashlib.sha256(self.source).hexdigest()


def read_request(spec: RequestSpec, *, base: Path) -> Request:
    """Return the request of a model, its function loaded from the file below `base`.

    Raises:
        RequestFileUnreadable: The file is missing or does not run.
        NoRequestFunction: It defines no `request_features`.
    """
    if spec.file is None:
        return Request(tuple(spec.inputs))
    path = base / spec.file
    if not path.is_file():
        raise RequestFileUnreadable(path, "no such file")
    source = path.read_bytes()
    try:
        function = load_request(source, file=str(path))
    except MlopsError:
        raise
    except Exception as error:  # importing a person's file may raise anything
        raise RequestFileUnreadable(path, f"{type(error).__name__}: {error}") from error
    return Request(tuple(spec.inputs), function, source)


def apply_request(function: RequestFeatures, inputs: Sequence[str], table: pa.Table) -> pa.Table:
    """Return the features that the function makes of the inputs: float64 or text, null where it gave NaN or None.

    Raises:
        WrongRequestInput: An input is neither a number, a boolean nor text.
        RequestFunctionFailed: The function raised, or tried to write into an input.
        WrongRequestOutput: An output is no array of one value per row, or is named like an input but differs from it.
    """
    import pyarrow as pa

    rows = table.num_rows
    columns = {name: _to_numpy(name, table[name]) for name in inputs}
    outputs = call(function, columns, rows)
    arrays = {name: to_arrow(name, array, rows) for name, array in outputs.items()}
    for name in replaced_inputs(outputs, columns):
        if not arrays[name].equals(to_arrow(name, columns[name], rows)):
            raise changed_input(name)
    return pa.table(arrays)


def computed_features(
    function: RequestFeatures | None,
    inputs: Sequence[str],
    given: Mapping[str, pa.Array[Any]],
    rows: int,
    *,
    kinds: Mapping[str, Kind],
) -> dict[str, pa.ChunkedArray[Any]]:
    """Return the features that a model's function makes of the inputs that a caller gave; the others count as null.

    Nothing is computed when no input was given.

    Args:
        kinds: Kind of the inputs, so that one that is null in every row has its type all the same.

    Raises:
        MlopsError: See `apply_request`.
    """
    import pyarrow as pa

    if function is None or not any(name in given for name in inputs):
        return {}
    columns = {name: given.get(name, pa.nulls(rows)) for name in inputs}
    is_text = {name: kinds.get(name) == "categorical" for name in inputs}
    nulls = pa.nulls(rows, pa.string())
    table = pa.table(
        {name: nulls if is_text[name] and one.null_count == rows else one for name, one in columns.items()}
    )
    computed = apply_request(function, inputs, table)
    return {name: computed[name] for name in computed.column_names}


def call(function: RequestFeatures, columns: Mapping[str, Array], rows: int) -> dict[str, Any]:
    """Call the function on arrays that it cannot change."""
    for array in columns.values():
        array.setflags(write=False)
    try:
        outputs = function(dict(columns))
    except Exception as error:  # a person's function may raise anything
        raise RequestFunctionFailed(list(columns), rows, error) from error
    _require_dict(outputs)
    return outputs


def replaced_inputs(outputs: Mapping[str, Any], columns: Mapping[str, Array]) -> list[str]:
    """Return the inputs in whose place an output stands."""
    return [name for name, array in outputs.items() if name in columns and array is not columns[name]]


def changed_input(name: str) -> WrongRequestOutput:
    """Return the error of an output that is named like an input and differs from it."""
    required = f"the input {name} unchanged, or another name"
    return WrongRequestOutput(name, found="other values than the input of that name", required=required)


def _to_numpy(name: str, column: pa.ChunkedArray[Any]) -> Array:
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _to_numpy(name, column.cast(kind.value_type))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        array = column.to_numpy()
    elif pa.types.is_boolean(kind):
        array = column.cast(pa.int8()).cast(pa.float64()).to_numpy()
    elif _is_number(kind) or pa.types.is_null(kind):
        array = column.cast(pa.float64(), safe=False).to_numpy()
    else:
        raise WrongRequestInput(name, str(kind))
    return np.array(array)  # a copy: the values of the table must not change under a function that writes


def _require_dict(outputs: object) -> None:
    if not isinstance(outputs, dict) or not outputs:
        found = "an empty dict" if outputs == {} else type(outputs).__name__
        raise WrongRequestOutput("(all)", found=found, required="a dict with at least one array")
    for name in outputs:
        if not isinstance(name, str):
            raise WrongRequestOutput(repr(name), found=f"a name of type {type(name).__name__}", required="text")


def to_arrow(name: str, values: object, rows: int) -> pa.Array[Any]:
    """Return an output as float64 or text, null where it is NaN or None.

    Raises:
        WrongRequestOutput: It has another shape or type.
    """
    import numpy as np
    import pyarrow as pa

    array = np.asarray(values)
    if array.shape != (rows,):
        raise WrongRequestOutput(name, found=f"shape {array.shape}", required=f"shape ({rows},), one value per row")
    if array.dtype.kind in "fiub":
        return pa.array(array.astype(np.float64), from_pandas=True)
    try:
        return pa.array(array, pa.string(), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise WrongRequestOutput(name, found=f"{array.dtype} ({error})", required="numbers or text") from error


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
