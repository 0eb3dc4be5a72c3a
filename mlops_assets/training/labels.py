"""The labels of a training set as numbers, or why they cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.training.errors import AllCensored, WrongLabel

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.signature import Task

    Vector = np.ndarray[Any, Any]


def classes_of(table: pa.Table, task: Task) -> tuple[str, ...]:
    """Return the classes of a multiclass task, the sorted distinct labels as strings; none for another task.

    Raises:
        AllCensored: There is no row, or no row has a label.
        WrongLabel: Some rows have no label, labels are no plain values, or there is one class only.
    """
    if task != "multiclass":
        return ()
    classes = tuple(sorted(_strings(_all_known(table)).unique().to_pylist()))
    if len(classes) == 1:
        raise WrongLabel(found=f"label {classes[0]!r} on all rows", required="two classes or more")
    return classes


def labels(table: pa.Table, task: Task, classes: tuple[str, ...] = ()) -> Vector:
    """Return the column `label` as float64: 0 and 1 for a binary task, positions in `classes` for a multiclass one.

    Raises:
        AllCensored: There is no row, or no row has a label.
        WrongLabel: Some rows have no label, or a label does not fit the task.
    """
    import numpy as np

    column = _all_known(table)
    if task == "multiclass":
        return _positions(column, classes)
    y = _numbers(column)
    if task == "binary" and not np.isin(y, (0, 1)).all():
        raise WrongLabel(
            found=f"values {np.unique(y)[:5].tolist()}", required="0 and 1, or booleans, for a binary task"
        )
    return y


def _all_known(table: pa.Table) -> pa.Array[Any]:
    column = table["label"]
    if column.null_count == table.num_rows:
        raise AllCensored(table.num_rows)
    if column.null_count:
        found = f"{column.null_count} of {table.num_rows} labels null"
        raise WrongLabel(
            found=found, required="labelled rows only; pending and censored rows are left out, not trained"
        )
    return column.combine_chunks()


def _numbers(column: pa.Array[Any]) -> Vector:
    import numpy as np
    import pyarrow as pa

    try:
        y = column.cast(pa.int8() if pa.types.is_boolean(column.type) else pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WrongLabel(found=f"{column.type} ({error})", required="booleans or numbers") from error
    if not np.isfinite(y).all():
        raise WrongLabel(found="infinite or NaN labels", required="finite numbers")
    return y.astype(np.float64)


def _positions(column: pa.Array[Any], classes: tuple[str, ...]) -> Vector:
    import numpy as np

    encoded = _strings(column).dictionary_encode()
    found, places = encoded.dictionary.to_pylist(), {name: place for place, name in enumerate(classes)}
    unknown = [name for name in found if name not in places]
    if unknown:
        raise WrongLabel(found=f"labels {unknown[:5]}", required=f"one of the classes {', '.join(classes)}")
    return np.array([places[name] for name in found], np.float64)[encoded.indices.to_numpy()]


def _strings(column: pa.Array[Any]) -> pa.Array[Any]:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_floating(column.type) and not np.isfinite(column.to_numpy()).all():
        raise WrongLabel(found="infinite or NaN labels", required="finite numbers, text or booleans")
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WrongLabel(found=f"{column.type} ({error})", required="text, numbers or booleans") from error
