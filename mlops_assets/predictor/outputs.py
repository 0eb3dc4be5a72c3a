"""Scores as the columns that stand beside the rows they belong to, in batches and in what monitoring counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictor.signature import Kind, Signature

SCORE, PREDICTED_CLASS, PROBABILITIES = "score", "predicted_class", "probabilities"
MONITORED: Mapping[str, Kind] = {SCORE: "numeric", PREDICTED_CLASS: "categorical"}


def output_columns(scores: np.ndarray[Any, Any], signature: Signature) -> dict[str, pa.Array[Any]]:
    """Return `score`; of a multiclass model the most probable class, its probability as `score`, and all of them.

    Args:
        scores: What the model gave (`Predictor.predict`); the first of equally probable classes is predicted.
    """
    import numpy as np
    import pyarrow as pa

    if signature.task != "multiclass":
        return {SCORE: pa.array(scores, pa.float64())}
    predicted = pa.DictionaryArray.from_arrays(
        pa.array(scores.argmax(axis=1)), pa.array(signature.classes, pa.string())
    )
    offsets = pa.array(np.arange(len(scores) + 1) * len(signature.classes), pa.int32())
    return {
        PREDICTED_CLASS: predicted.dictionary_decode(),
        SCORE: pa.array(scores.max(axis=1), pa.float64()),
        PROBABILITIES: pa.ListArray.from_arrays(offsets, pa.array(scores.ravel(), pa.float64())),
    }
