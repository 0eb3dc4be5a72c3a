"""A few rows scored without a data frame: plain values, through the tables, into one small matrix for the estimate.

The rules are those of `frame.py`: a number is clipped to what float32 holds, unknown or infinite is missing, and so is a
category that is unknown. Add here: what makes a few rows cheap. Keep out: where their values come from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.calibration import calibrate
from mlops_assets.predictor.frame import LARGEST, MISSING, as_array
from mlops_assets.predictor.tables import Categories, Numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mlops_assets.predictor.estimate import Estimate
    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.signature import Signature
    from mlops_assets.predictor.tables import Tables

    Matrix = np.ndarray[Any, Any]
    Value = float | str | None

UNKNOWN = float("nan")
MOST_ROWS = 100  # from here on a vectorised form costs less


class RowScorer:
    """A model made of tables and an estimate, for up to about `MOST_ROWS` rows at a time."""

    def __init__(self, tables: Tables, estimate: Estimate, signature: Signature) -> None:
        places = {name: place for place, name in enumerate(signature.features)}
        numbers: list[tuple[int, int, Numbers]] = []
        self._categories: list[_Category] = []
        self._width = 0
        for entry in tables.features:
            if isinstance(entry, Numbers):
                numbers.append((places[entry.feature], self._width, entry))
                self._width += 1
            else:
                self._categories.append(_Category(places[entry.feature], self._width, entry))
                self._width += len(entry.unseen)
        self._numbers = _NumberBlock(numbers) if numbers else None
        self._calibration, self._estimate, self._signature = tables.calibration, estimate, signature

    def score(self, columns: Sequence[Sequence[Value]]) -> Matrix:
        """Return what `Predictor.predict` returns.

        Args:
            columns: Those of the features, in the model's order; numbers, text, or None where unknown. At least one row.
        """
        import numpy as np

        made = calibrate(self._calibration, self._estimate(self.fill(columns)))
        return np.asarray(made[:, 1] if self._signature.task == "binary" else made, dtype=np.float64)

    def fill(self, columns: Sequence[Sequence[Value]]) -> Matrix:
        """Return the float32 matrix of the estimate."""
        import numpy as np

        matrix = np.empty((len(columns[0]), self._width), dtype=np.float32)
        if self._numbers is not None:
            self._numbers.fill(matrix, columns)
        for category in self._categories:
            category.fill(matrix, columns)
        return matrix

    def predict(self, columns: Columns) -> Matrix:
        """Score columns as every form does, so many rows at a time as a request has at most."""
        import numpy as np

        values = plain_columns(columns, self._signature)
        parts = [
            self.score([column[start : start + MOST_ROWS] for column in values])
            for start in range(0, len(values[0]), MOST_ROWS)
        ]
        empty = (0, len(self._signature.classes)) if self._signature.task == "multiclass" else 0
        return np.concatenate(parts) if parts else np.empty(empty)


def plain_columns(columns: Columns, signature: Signature) -> list[list[Value]]:
    """Return the features as lists of numbers, text and None, in the model's order."""
    import pyarrow as pa

    arrow = {"numeric": pa.float64(), "categorical": pa.string()}
    return [
        as_array(name, kind, columns[name]).cast(arrow[kind], safe=False).to_pylist()
        for name, kind in signature.features.items()
    ]


class _NumberBlock:
    """All numeric features, side by side: what `tables.apply` does to each of them, in float64."""

    def __init__(self, numbers: Sequence[tuple[int, int, Numbers]]) -> None:
        import numpy as np

        self._places = [place for place, _, _ in numbers]
        self._to = np.array([to for _, to, _ in numbers])
        entries = [entry for _, _, entry in numbers]
        self._shift, self._divisor = _column(entries, "shift", 0.0), _column(entries, "divisor", 1.0)
        self._factor, self._offset = _column(entries, "factor", 1.0), _column(entries, "offset", 0.0)
        self._has_scale = any(one.shift is not None or one.factor is not None for one in entries)
        self._missing = self._scaled(_column(entries, "fill", np.nan))

    def fill(self, matrix: Matrix, columns: Sequence[Sequence[Value]]) -> None:
        import numpy as np

        # One by one: NumPy takes twice as long over a list of lists with None in it.
        plain = [UNKNOWN if value is None else value for place in self._places for value in columns[place]]
        values = np.fromiter(plain, np.float64, len(plain)).reshape(len(self._places), -1)
        is_known = np.isfinite(values)
        values = self._scaled(np.minimum(np.maximum(values, -LARGEST), LARGEST))
        with np.errstate(over="ignore"):  # beyond float32 is infinite, as everywhere else
            matrix[:, self._to] = np.where(is_known, values, self._missing).T

    def _scaled(self, values: Matrix) -> Matrix:
        if not self._has_scale:
            return values
        return (values - self._shift) / self._divisor * self._factor + self._offset


class _Category:
    """One categorical feature: the columns of each category, the last ones for what training never saw."""

    def __init__(self, place: int, to: int, entry: Categories) -> None:
        import numpy as np

        self._place, self._to = place, slice(to, to + len(entry.unseen))
        self._vectors = np.array([*entry.columns.values(), entry.unseen], dtype=np.float32)
        self._unseen = len(entry.columns)
        rows: dict[str | None, int] = {name: row for row, name in enumerate(entry.columns)}
        self._find = {**rows, None: rows.get(MISSING, self._unseen)}.get

    def fill(self, matrix: Matrix, columns: Sequence[Sequence[Any]]) -> None:
        matrix[:, self._to] = self._vectors[[self._find(value, self._unseen) for value in columns[self._place]]]


def _column(entries: Sequence[Numbers], name: str, otherwise: float) -> Matrix:
    import numpy as np

    values = [getattr(one, name) for one in entries]
    return np.array([[otherwise if value is None else value] for value in values], dtype=np.float64)
