"""Golden rows: a few rows saved with their scores, replayed at each load, so that a model that drifted cannot serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.signature import Signature

ROWS = 32
TOLERANCE = 1e-6


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
