"""Does each form of a saved model give the scores of the pipeline? On four sets of rows, chosen to find where they part.

- `transformed`: what the tables make of rows, against the fitted preprocessing; equal bit by bit.
- `json`: rows as a server gets them, written to JSON and read again, against the rows themselves.
- `thresholds`: rows exactly on the split points of the trees and just below; on quantiles where there are no trees.
- `edges`: rows with one feature missing, huge or never seen before.

What fills the matrix of a few rows is held to `transformed` as well, beyond the edges.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.predictor import tables as flat
from mlops_assets.predictor.calibration import bare_estimator
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.rows import RowScorer, plain_columns
from mlops_assets.predictor.scoring import score
from mlops_assets.predictor.split_points import split_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.signature import Signature

    Vector = np.ndarray[Any, Any]

TABLES, ROWS = "tables.json", "rows"
TRANSFORMED, JSON, THRESHOLDS, EDGES = "transformed", "json", "thresholds", "edges"
MOST_ROWS = 20_000
TOLERANCE = 1e-6
TINY = 1e-300
NUMBERS: tuple[float | None, ...] = (None, 1e30, -1e30)
BEYOND = (1e300, -1e300, float("inf"), float("-inf"))  # float32 holds none of them
CATEGORIES: tuple[str | None, ...] = (None, "", "a category never seen")


class Scorer(Protocol):
    """Whatever scores columns."""

    def predict(self, columns: Columns) -> Vector: ...


@dataclass(frozen=True)
class Difference:
    """How far a form is from the pipeline on one set of rows.

    Attributes:
        largest: Largest difference of a probability; of a regression relative to the value, or to the spread of the scores
            of real rows where that is larger.
        flips: Rows on which the decision differs.
    """

    form: str
    rows: str
    count: int
    largest: float
    flips: int

    @property
    def is_equal(self) -> bool:
        """Whether the form may serve."""
        return self.largest <= (0.0 if self.rows == TRANSFORMED else TOLERANCE) and self.flips == 0

    def __str__(self) -> str:
        return f"{self.form} on {self.count:,} rows ({self.rows}): {self.largest:.2g}, {self.flips} decisions flipped"


def compare(
    pipeline: Any,
    forms: Mapping[str, Scorer],
    rows: pa.Table,
    *,
    signature: Signature,
    tables: flat.Tables | None,
    threshold: float = 0.5,
) -> list[Difference]:
    """Compare every form with the pipeline on the four sets.

    Args:
        rows: Real rows with every feature; at most `MOST_ROWS` of them are used, evenly spread.
        tables: The tables of the flat forms, if there are any.
        threshold: Score from which a binary decision is positive.
    """
    import numpy as np

    rows = _thinned(rows, signature)
    found = [] if tables is None else [_transformed(pipeline, tables, rows, signature)]
    if tables is not None and ROWS in forms:
        found.append(_filled(tables, rows, signature))
    spread = float(np.std(score(pipeline, rows, signature))) if signature.task == "regression" else 1.0
    for name, plain, sent in _sets(pipeline, rows, signature, tables):
        expected = score(pipeline, plain, signature)
        for form, scorer in forms.items():
            given = scorer.predict({feature: sent[feature].to_numpy() for feature in signature.features})
            flips = _flips(expected, given, signature, threshold)
            found.append(Difference(form, name, len(expected), _largest(expected, given, spread), flips))
    return found


def edge_rows(rows: pa.Table, signature: Signature) -> pa.Table:
    """Return copies of the first row, each with one feature missing, huge or never seen before."""
    first = _typed(rows.slice(0, 1), signature).to_pylist()[0]
    edges = {"numeric": NUMBERS, "categorical": CATEGORIES}
    made = [{**first, name: value} for name, kind in signature.features.items() for value in edges[kind]]
    return _of_rows(made, signature)


def _sets(
    pipeline: Any, rows: pa.Table, signature: Signature, tables: flat.Tables | None
) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """Yield each set: its name, the rows for the pipeline and the rows for the form."""
    yield JSON, rows, _through_json(rows, signature)
    points = split_points(bare_estimator(pipeline[-1]), rows, signature, tables)
    if points:
        first = _typed(rows, signature).to_pylist()
        near = [{**first[i % len(first)], name: value} for i, (name, value) in enumerate(points)]
        near = _of_rows(near, signature)
        yield THRESHOLDS, near, near
    edges = edge_rows(rows, signature)
    yield EDGES, edges, edges


def _transformed(pipeline: Any, tables: flat.Tables, rows: pa.Table, signature: Signature) -> Difference:
    import numpy as np
    import pandas as pd

    parts = [feature_frame(part, signature) for part in (rows, edge_rows(rows, signature))]
    frame = pd.concat(parts, ignore_index=True)
    ours, theirs = flat.apply(tables, frame), np.asarray(pipeline[0].transform(frame), dtype=np.float64)
    both_missing = np.isnan(ours) & np.isnan(theirs)
    largest = np.max(np.where(both_missing, 0, np.abs(ours - theirs)), initial=0)
    return Difference(TABLES, TRANSFORMED, len(frame), float(np.inf if np.isnan(largest) else largest), 0)


def _filled(tables: flat.Tables, rows: pa.Table, signature: Signature) -> Difference:
    import numpy as np
    import pyarrow as pa

    first = _typed(rows.slice(0, 1), signature).to_pylist()[0]
    beyond = _of_rows([{**first, name: value} for name in signature.names("numeric") for value in BEYOND], signature)
    parts = [_typed(rows, signature), edge_rows(rows, signature), beyond]
    table = pa.concat_tables([part for part in parts if part.num_rows])
    theirs = flat.apply(tables, feature_frame(table, signature)).astype(np.float32)
    ours = RowScorer(tables, _no_estimate, signature).fill(plain_columns(table, signature))
    is_equal = np.array_equal(ours, theirs, equal_nan=True)
    return Difference(ROWS, TRANSFORMED, table.num_rows, 0.0 if is_equal else np.inf, 0)


def _no_estimate(matrix: Vector) -> Vector:
    return matrix


def _largest(expected: Vector, given: Vector, spread: float) -> float:
    import numpy as np

    apart = np.abs(expected - given) / np.maximum(np.maximum(np.abs(expected), spread), TINY)
    return float(np.max(np.nan_to_num(apart, nan=np.inf), initial=0))


def _flips(expected: Vector, given: Vector, signature: Signature, threshold: float) -> int:
    match signature.task:
        case "binary":
            return int(((expected >= threshold) != (given >= threshold)).sum())
        case "multiclass":
            return int((expected.argmax(axis=1) != given.argmax(axis=1)).sum())
        case "regression":
            return 0


def _thinned(rows: pa.Table, signature: Signature) -> pa.Table:
    import numpy as np

    rows = rows.select(list(signature.features))
    if rows.num_rows <= MOST_ROWS:
        return rows
    return rows.take(np.linspace(0, rows.num_rows - 1, MOST_ROWS).astype(int))


def _through_json(rows: pa.Table, signature: Signature) -> pa.Table:
    """Return the rows after a journey as JSON, which has neither NaN nor more than one kind of number."""
    import numpy as np

    frame = feature_frame(rows, signature)
    numbers, typed = frame[signature.names("numeric")].replace({np.nan: None}), _typed(rows, signature)
    categories = {name: typed[name].to_pylist() for name in signature.names("categorical")}
    sent = {name: list(numbers[name]) for name in numbers} | categories
    received = json.loads(json.dumps(sent, allow_nan=False))
    return _of_rows([dict(zip(received, row, strict=True)) for row in zip(*received.values(), strict=True)], signature)


def _typed(rows: pa.Table, signature: Signature) -> pa.Table:
    return rows.select(list(signature.features)).cast(_schema(signature), safe=False)


def _of_rows(rows: list[dict[str, Any]], signature: Signature) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=_schema(signature))


def _schema(signature: Signature) -> pa.Schema:
    import pyarrow as pa

    arrow = {"numeric": pa.float64(), "categorical": pa.string()}
    return pa.schema([(name, arrow[kind]) for name, kind in signature.features.items()])
