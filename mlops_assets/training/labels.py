"""The labels of a training set as numbers, or why they cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.training.errors import AllCensored, WrongLabel

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.signature import Task


def labels(table: pa.Table, task: Task) -> np.ndarray[Any, Any]:
    """Return the column `label` as float64; 0 and 1 for a binary task.

    Raises:
        AllCensored: There is no row, or no row has a label.
        WrongLabel: Some rows have no label, or a label does not fit the task.
    """
    import numpy as np
    import pyarrow as pa

    column = table["label"]
    if column.null_count == table.num_rows:
        raise AllCensored(table.num_rows)
    if column.null_count:
        found = f"{column.null_count} of {table.num_rows} labels null"
        raise WrongLabel(
            found=found, required="labelled rows only; pending and censored rows are left out, not trained"
        )
    try:
        y = column.cast(pa.int8() if pa.types.is_boolean(column.type) else pa.float64()).to_numpy().astype(np.float64)
    except pa.ArrowInvalid as error:
        raise WrongLabel(found=f"{column.type} ({error})", required="booleans or numbers") from error
    if not np.isfinite(y).all():
        raise WrongLabel(found="infinite or NaN labels", required="finite numbers")
    if task == "binary" and not np.isin(y, (0, 1)).all():
        raise WrongLabel(
            found=f"values {np.unique(y)[:5].tolist()}", required="0 and 1, or booleans, for a binary task"
        )
    return y
