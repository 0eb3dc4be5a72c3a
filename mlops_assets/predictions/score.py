"""Score one window and publish it as one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.predictor.outputs import PREDICTED_CLASS, PROBABILITIES, SCORE, output_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.lake.windows import Window
    from mlops_assets.predictor.artifact import Predictor

MODEL_VERSION = "model_version"
RESERVED = (SCORE, PREDICTED_CLASS, PROBABILITIES, MODEL_VERSION)
LABEL_COLUMNS = ("label", "label_known_at")


class ReservedColumn(MlopsError):
    """A key or a feature has the name of a column that scoring adds."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"columns to score: {found}",
            found="a key or feature of that name",
            required=f"names other than {', '.join(RESERVED)}",
            remedy="Rename it in the spine or the feature view.",
        )


def score_window(vectors: pa.Table, predictor: Predictor, *, model_version: int) -> pa.Table:
    """Return the vectors with their scores (`predictor.outputs`) and `model_version`.

    Labels are left out, for they were not known then.

    Raises:
        ReservedColumn: A column has the name of one that scoring adds, for whatever task.
    """
    import pyarrow as pa

    kept = [name for name in vectors.column_names if name not in LABEL_COLUMNS]
    for name in RESERVED:
        if name in kept:
            raise ReservedColumn(name)
    scored = vectors.select(kept)
    for name, values in output_columns(predictor.predict(scored), predictor.manifest.signature).items():
        scored = scored.append_column(name, values)
    return scored.append_column(MODEL_VERSION, pa.array([model_version] * len(scored), pa.int64()))


def predictions_uri(lake: str, model: str) -> str:
    """Return where the predictions of a model are."""
    from mlops_assets.lake.uris import join

    return join(lake, "predictions", model)


def publish(lake: str, model: str, table: pa.Table, window: Window) -> int:
    """Replace the predictions of one window; return the version of the table. Doing it twice changes nothing."""
    from mlops_assets.lake.tables import replace_window

    return replace_window(predictions_uri(lake, model), table, window=window.key)
