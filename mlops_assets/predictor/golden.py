"""Golden rows: a few rows saved with their scores, replayed at each load, so that a model that drifted cannot serve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.signature import Signature

ROWS = 32
TOLERANCE = 1e-6


class Scorer(Protocol):
    """Whatever scores columns."""

    def predict(self, columns: Columns) -> np.ndarray[Any, Any]: ...


@dataclass(frozen=True)
class Golden:
    """The golden rows of a saved model, and the scores that it gave them when it was saved."""

    rows: pa.Table
    scores: np.ndarray[Any, Any]

    def difference(self, scorer: Scorer) -> float:
        """Return how far a scorer is from the scores, relative to those above 1; NaN if it gives no numbers."""
        import numpy as np

        return float(np.max(np.abs(scorer.predict(self.rows) - self.scores) / np.maximum(np.abs(self.scores), 1)))

    def row(self, place: int) -> Golden:
        """Return one of the rows alone."""
        return Golden(self.rows.slice(place, 1), self.scores[place : place + 1])


def encode(rows: pa.Table, scores: np.ndarray[Any, Any]) -> bytes:
    """Write golden rows and their scores as JSON."""
    return json.dumps({"rows": rows.to_pydict(), "scores": scores.tolist()}).encode()


def decode(data: bytes, signature: Signature) -> Golden:
    """Read what `encode` wrote."""
    import numpy as np
    import pyarrow as pa

    saved = json.loads(data)
    arrow = {"numeric": pa.float64(), "categorical": pa.string()}
    rows = {name: pa.array(saved["rows"][name], arrow[kind]) for name, kind in signature.features.items()}
    return Golden(pa.table(rows), np.asarray(saved["scores"]))


def golden_rows(columns: Columns, signature: Signature) -> pa.Table:
    """Pick rows spread evenly over the table, and end with an all-missing, a huge and an unknown row."""
    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.frame import feature_frame

    frame = feature_frame(columns, signature)
    picked = frame.iloc[np.linspace(0, len(frame) - 1, ROWS - 3).astype(int)]
    table: dict[str, Any] = {}
    for name, kind in signature.features.items():
        arrow = pa.float64() if kind == "numeric" else pa.string()
        edges: list[Any] = [None, 1e30, -1e30] if kind == "numeric" else [None, "", "a category never seen"]
        values = pa.array(picked[name].to_numpy(), arrow, from_pandas=True)
        table[name] = pa.concat_arrays([values, pa.array(edges, arrow)])
    return pa.table(table)
