"""The preprocessing of a fitted pipeline as plain tables, and what they do to a frame: no scikit-learn, no pickle.

A numeric feature is imputed, shifted and scaled; a category is looked up. The numbers are those of the fitted
transformers, so the matrix is theirs bit by bit.

Add here: a further kind of transformer. Keep out: what estimates (`forms.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.predictor.calibration import Map
from mlops_assets.predictor.errors import NotTabular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pandas as pd

    Matrix = np.ndarray[Any, Any]

UNSEEN = "\x00unseen"


class Numbers(msgspec.Struct, frozen=True, tag="numbers"):
    """One numeric feature: `((x or fill) - shift) / divisor`, or `x * factor + offset` where only those are given.

    Attributes:
        fill: What stands for a missing value; None leaves it missing.
    """

    feature: str
    fill: float | None = None
    shift: float | None = None
    divisor: float | None = None
    factor: float | None = None
    offset: float | None = None


class Categories(msgspec.Struct, frozen=True, tag="categories"):
    """One categorical feature: the columns that each category becomes, and those of one that training never saw."""

    feature: str
    columns: dict[str, tuple[float, ...]]
    unseen: tuple[float, ...]


class Tables(msgspec.Struct, frozen=True):
    """What turns a feature frame into the matrix of the estimator, column by column, and its scores into probabilities."""

    features: tuple[Numbers | Categories, ...]
    calibration: tuple[Map, ...] = ()
    schema_version: int = 1


def tables_of(preprocessing: Any, calibration: Sequence[Map] = ()) -> Tables:
    """Read the tables of a fitted `ColumnTransformer`.

    Args:
        calibration: Maps of the estimator behind it (see `calibration.maps_of`).

    Raises:
        NotTabular: It holds a transformer that has no such form.
    """
    parts = [
        entry
        for _, transformer, columns in preprocessing.transformers_
        if len(columns) and transformer != "drop"
        for entry in _entries(_steps(transformer), list(columns))
    ]
    return Tables(tuple(parts), tuple(calibration))


def apply(tables: Tables, frame: pd.DataFrame) -> Matrix:
    """Return the float64 matrix that the preprocessing makes of a feature frame."""
    import numpy as np

    blocks = [
        _numbers(entry, frame) if isinstance(entry, Numbers) else _categories(entry, frame) for entry in tables.features
    ]
    return np.hstack(blocks) if blocks else np.empty((len(frame), 0))


def width(tables: Tables) -> int:
    """Return the number of columns of the matrix."""
    return sum(len(one.unseen) if isinstance(one, Categories) else 1 for one in tables.features)


def encode(tables: Tables) -> bytes:
    """Write the tables as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(tables), indent=1)


def decode(data: bytes) -> Tables:
    """Read what `encode` wrote."""
    return decoder(Tables).decode(data)


def _steps(transformer: Any) -> list[Any]:
    steps = getattr(transformer, "steps", None)
    return [transformer] if steps is None else [step for _, step in steps]


def _entries(steps: list[Any], features: list[str]) -> Iterator[Numbers | Categories]:
    if type(steps[-1]).__name__ in ("OneHotEncoder", "TargetEncoder", "OrdinalEncoder") and len(steps) == 1:
        yield from _encoded(steps[0], features)
        return
    numbers = [Numbers(feature) for feature in features]
    for step in steps:
        numbers = _with(step, numbers)
    yield from numbers


def _with(step: Any, numbers: list[Numbers]) -> list[Numbers]:
    """Add what one fitted step, the imputer first, does to each number."""
    import numpy as np
    import pandas as pd

    match type(step).__name__:
        case "SimpleImputer":
            nothing = pd.DataFrame({one.feature: [np.nan] for one in numbers})
            values = {"fill": np.asarray(step.transform(nothing))[0]}
        case "StandardScaler":
            values = {"shift": step.mean_, "divisor": step.scale_}
        case "RobustScaler":
            values = {"shift": step.center_, "divisor": step.scale_}
        case "MinMaxScaler":
            values = {"factor": step.scale_, "offset": step.min_}
        case "FunctionTransformer" if step.func is None:  # what a fitted transformer makes of `passthrough`
            return numbers
        case found:
            raise NotTabular(found)
    columns = zip(*(map(float, column) for column in values.values()), strict=True)
    return [
        msgspec.structs.replace(one, **dict(zip(values, column, strict=True)))
        for one, column in zip(numbers, columns, strict=True)
    ]


def _encoded(encoder: Any, features: list[str]) -> Iterator[Categories]:
    """Ask the fitted encoder what it makes of each category, one feature at a time."""
    import numpy as np
    import pandas as pd

    columns = widths(encoder, features)
    ends = np.cumsum(columns)
    for position, feature in enumerate(features):
        known = [str(category) for category in encoder.categories_[position]]
        asked = [*known, UNSEEN]
        rows = {other: [encoder.categories_[i][0]] * len(asked) for i, other in enumerate(features)}
        made = encoder.transform(pd.DataFrame({**rows, feature: asked}))
        made = made.toarray() if hasattr(made, "toarray") else made  # a sparse matrix
        made = np.asarray(made, dtype=np.float64)[:, ends[position] - columns[position] : ends[position]]
        vectors = [tuple(map(float, vector)) for vector in made]
        yield Categories(feature, dict(zip(known, vectors, strict=False)), vectors[-1])


def widths(transformer: Any, features: Sequence[str]) -> list[int]:
    """Return how many columns a fitted transformer makes of each feature."""
    if type(transformer).__name__ != "OneHotEncoder":
        return [len(getattr(transformer, "encodings_", features)) // len(features)] * len(features)
    rare = getattr(transformer, "infrequent_categories_", [None] * len(features))
    known = zip(transformer.categories_, rare, strict=True)
    return [len(names) if few is None else len(names) - len(few) + 1 for names, few in known]


def _numbers(one: Numbers, frame: pd.DataFrame) -> Matrix:
    import numpy as np

    column = frame[one.feature].to_numpy(dtype=np.float64, copy=True)
    if one.fill is not None:
        column[np.isnan(column)] = one.fill
    if one.shift is not None and one.divisor is not None:
        column = (column - one.shift) / one.divisor
    if one.factor is not None and one.offset is not None:
        column = column * one.factor + one.offset
    return column[:, None]


def _categories(one: Categories, frame: pd.DataFrame) -> Matrix:
    import numpy as np

    vectors = np.array([*one.columns.values(), one.unseen])
    positions = {category: position for position, category in enumerate(one.columns)}
    codes = [positions.get(category, len(positions)) for category in frame[one.feature]]
    return vectors[np.array(codes, dtype=np.intp)]
