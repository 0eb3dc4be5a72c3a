"""One way to get scores out of a fitted pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.frame import feature_frame

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.predictor.frame import Columns
    from mlops_assets.predictor.signature import Signature


def score(pipeline: Any, columns: Columns, signature: Signature) -> np.ndarray[Any, Any]:
    """Return one float64 per row: the probability of the positive class, or the predicted value.

    Of a multiclass model return one column per class instead: its probability, in the order of `signature.classes`.
    """
    import numpy as np

    frame = feature_frame(columns, signature)
    if frame.empty:
        return np.empty((0, len(signature.classes)) if signature.task == "multiclass" else 0)
    scores = pipeline.predict(frame) if signature.task == "regression" else pipeline.predict_proba(frame)
    return np.asarray(scores[:, 1] if signature.task == "binary" else scores, dtype=np.float64)
