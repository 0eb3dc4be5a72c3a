"""From columns to the frame that a pipeline takes: the one conversion, for training, batch scoring and serving alike.

Numeric values become float64, null where unknown or infinite. Categories become strings, `MISSING` where unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from mlops_assets.predictor.errors import MissingFeatures, WrongFeatureType

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from mlops_assets.predictor.signature import Kind, Signature

    Columns = pa.Table | Mapping[str, np.ndarray[Any, Any]]

MISSING = "__missing__"
LARGEST = 3.0e38  # estimators compute in float32


def feature_frame(columns: Columns, signature: Signature) -> pd.DataFrame:
    """Return the features in the model's order, as every pipeline of this project takes them.

    Raises:
        MissingFeatures: A feature has no column.
        WrongFeatureType: A numeric feature is not made of numbers, or a category is not a plain value.
    """
    import pandas as pd

    present: set[str] = set(columns if isinstance(columns, Mapping) else columns.column_names)
    missing = [name for name in signature.features if name not in present]
    if missing:
        raise MissingFeatures(missing, sorted(present))
    converters = {"numeric": _numbers, "categorical": _categories}
    return pd.DataFrame(
        {name: converters[kind](name, as_array(name, kind, columns[name])) for name, kind in signature.features.items()}
    )


def kind_of(kind: pa.DataType) -> Kind:
    """Return what a column of an Arrow type is to a model."""
    from pyarrow import types

    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind)
    return "numeric" if is_number else "categorical"


def as_array(name: str, kind: str, values: Any) -> pa.Array[Any]:
    """Return values of whatever form as one Arrow array.

    Raises:
        WrongFeatureType: They have no type in common.
    """
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise WrongFeatureType(name, kind=kind, found=f"mixed values ({error})", required="one type") from error


def _numbers(name: str, array: pa.Array[Any]) -> np.ndarray[Any, Any]:
    import numpy as np
    import pyarrow as pa

    kind = array.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (is_number or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise WrongFeatureType(name, kind="numeric", found=str(kind), required="integers, floats, decimals or booleans")
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    numbers = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.clip(np.where(np.isfinite(numbers), numbers, np.nan), -LARGEST, LARGEST)


def _categories(name: str, array: pa.Array[Any]) -> np.ndarray[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        array = cast("pa.DictionaryArray[Any, Any]", array).dictionary_decode()
    try:
        strings = array.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WrongFeatureType(
            name, kind="categorical", found=str(array.type), required="strings, numbers or booleans"
        ) from error
    return pc.fill_null(strings, MISSING).to_numpy(zero_copy_only=False)
