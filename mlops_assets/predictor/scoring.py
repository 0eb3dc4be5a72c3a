"""One way to get scores out of a fitted pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.frame import feature_frame

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.signature import Signature


def score(pipeline: Any, columns: Columns, signature: Signature) -> np.ndarray[Any, Any]:
    """Return one float64 per row: the probability of the positive class, or the predicted value."""
    import numpy as np

    frame = feature_frame(columns, signature)
    if frame.empty:
        return np.empty(0)
    scores = pipeline.predict_proba(frame)[:, 1] if signature.task == "binary" else pipeline.predict(frame)
    return np.asarray(scores, dtype=np.float64)
