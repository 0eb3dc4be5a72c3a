"""How much each row counts in fitting: its own weight times that of its class.

Rows of their own weight count so everywhere in training; classes are weighted in the fit alone (ADR 0019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.training.errors import NoWeightColumn, UnknownClasses, WeightlessClass, WrongWeights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    Vector = np.ndarray[Any, Any]

BINARY_CLASSES = ("0", "1")


def row_weights(table: pa.Table, column: str) -> Vector:
    """Return the weights that a column of the training set gives its rows, as float64.

    Raises:
        NoWeightColumn: There is no such column.
        WrongWeights: They are not finite numbers of at least 0, or all 0.
    """
    import numpy as np
    import pyarrow as pa

    if column not in table.column_names:
        raise NoWeightColumn(column, table.column_names)
    values = table[column]
    if values.null_count:
        raise WrongWeights(column, found=f"{values.null_count} of {table.num_rows} weights null")
    try:
        weights = values.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise WrongWeights(column, found=f"{values.type} ({error})") from error
    if not np.isfinite(weights).all() or (weights < 0).any():
        wrong = weights[~np.isfinite(weights) | (weights < 0)]
        raise WrongWeights(column, found=f"{len(wrong)} of {len(weights)} weights such as {wrong[0]:g}")
    if not weights.any():
        raise WrongWeights(column, found=f"0 on all {len(weights)} rows of a part of the split")
    return weights


def fitting_weights(
    y: Vector,
    weights: Vector | None,
    *,
    class_weights: str | Mapping[str, float] | None,
    classes: Sequence[str],
) -> Vector | None:
    """Return the weight of each row in the fit; None if all count alike.

    `balanced` gives every class the same total weight, and the rows a mean weight of 1 (scikit-learn's
    `compute_class_weight`). A label that is not mentioned weighs 1.

    Args:
        y: Labels; positions in `classes` if there are any.
        weights: The rows' own weights.
        classes: Those of a multiclass model; empty for a binary one.

    Raises:
        UnknownClasses: Weights are given for labels that the training set does not have.
        WeightlessClass: All rows of a class weigh nothing.

    >>> import numpy as np
    >>> fitting_weights(np.array([0.0, 0.0, 0.0, 1.0]), None, class_weights="balanced", classes=()).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    import numpy as np

    if class_weights is None:
        return weights
    classes = classes or BINARY_CLASSES
    own = np.ones(len(y)) if weights is None else weights
    totals = np.bincount(y.astype(int), own, minlength=len(classes))
    if not isinstance(class_weights, str):
        if unknown := sorted(set(class_weights) - set(classes)):
            raise UnknownClasses(unknown, classes)
        of_class = np.array([class_weights.get(name, 1.0) for name in classes])
    elif totals.all():
        of_class = totals.sum() / (len(classes) * totals)
    else:
        raise WeightlessClass(classes[int(np.argmin(totals))])
    return own * of_class[y.astype(int)]
