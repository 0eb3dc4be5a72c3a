"""Values of single features at which a model's score may jump: the split points of its trees, and just below each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.estimate import is_xgboost
from mlops_assets.predictor.tables import Numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.signature import Signature
    from mlops_assets.predictor.tables import Tables

    Vector = np.ndarray[Any, Any]

MOST_POINTS = 1000
QUANTILES = 9


def split_points(
    estimator: Any, rows: pa.Table, signature: Signature, tables: Tables | None
) -> list[tuple[str, float]]:
    """Return pairs of a numeric feature and a value, two for each split point: the point and the float32 below it.

    An estimator without trees, or without tables to find the features by, gives quantiles of the rows instead.
    """
    import numpy as np

    found = [] if tables is None else list(_of_trees(estimator, tables))
    points = sorted(set(found)) or list(_quantiles(rows, signature))
    if len(points) > MOST_POINTS:
        points = [points[i] for i in np.linspace(0, len(points) - 1, MOST_POINTS).astype(int)]
    return [
        (name, float(near))
        for name, value in points
        for near in (np.float32(value), np.nextafter(np.float32(value), np.float32(-np.inf)))
    ]


def _of_trees(estimator: Any, tables: Tables) -> Iterator[tuple[str, float]]:
    """Yield the split points of the columns that are numbers, in the units of the feature."""
    entries: list[Numbers | None] = []
    for one in tables.features:
        entries += [one] if isinstance(one, Numbers) else [None] * len(one.unseen)
    for column, value in _splits(estimator):
        one = entries[column]
        if one is not None:
            yield one.feature, _in_units(one, value)


def _splits(estimator: Any) -> Iterator[tuple[int, float]]:
    """Yield the column and the value of each split."""
    import numpy as np

    if is_xgboost(estimator):
        if estimator.get_params().get("booster") == "gblinear":
            return
        nodes = estimator.get_booster().trees_to_dataframe()
        for feature, value in nodes.loc[nodes["Feature"] != "Leaf", ["Feature", "Split"]].itertuples(index=False):
            yield int(feature.removeprefix("f")), value
        return
    members = np.asarray(getattr(estimator, "estimators_", [estimator]), dtype=object).ravel()
    for tree in (getattr(member, "tree_", None) for member in members):
        if tree is not None:
            inner = tree.feature >= 0
            yield from zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)


def _in_units(one: Numbers, value: float) -> float:
    if one.factor is not None and one.offset is not None:
        return (value - one.offset) / one.factor
    if one.shift is not None and one.divisor is not None:
        return value * one.divisor + one.shift
    return value


def _quantiles(rows: pa.Table, signature: Signature) -> Iterator[tuple[str, float]]:
    import numpy as np

    from mlops_assets.predictor.frame import feature_frame

    frame = feature_frame(rows, signature)
    for name in signature.names("numeric"):
        known = frame[name].to_numpy()
        known = known[~np.isnan(known)]
        if len(known):
            yield from ((name, float(value)) for value in np.quantile(known, np.linspace(0, 1, QUANTILES)))
