"""Score one window and publish it as one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.lake.windows import Window
    from mlops_assets.predictor.artifact import Predictor

SCORE, MODEL_VERSION = "score", "model_version"
LABEL_COLUMNS = ("label", "label_known_at")


class ReservedColumn(MlopsError):
    """A key or a feature has the name of a column that scoring adds."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"columns to score: {found}",
            found="a key or feature of that name",
            required=f"names other than {SCORE} and {MODEL_VERSION}",
            remedy="Rename it in the spine or the feature view.",
        )


def score_window(vectors: pa.Table, predictor: Predictor, *, model_version: int) -> pa.Table:
    """Return the vectors with `score` and `model_version`; labels are left out, for they were not known then.

    Raises:
        ReservedColumn: A column is called `score` or `model_version` already.
    """
    import pyarrow as pa

    kept = [name for name in vectors.column_names if name not in LABEL_COLUMNS]
    for name in (SCORE, MODEL_VERSION):
        if name in kept:
            raise ReservedColumn(name)
    inputs = vectors.select(kept)
    scores = pa.array(predictor.predict(inputs), pa.float64())
    versions = pa.array([model_version] * len(inputs), pa.int64())
    return inputs.append_column(SCORE, scores).append_column(MODEL_VERSION, versions)


def predictions_uri(lake: str, model: str) -> str:
    """Return where the predictions of a model are."""
    from mlops_assets.lake.uris import join

    return join(lake, "predictions", model)


def publish(lake: str, model: str, table: pa.Table, window: Window) -> int:
    """Replace the predictions of one window; return the version of the table. Doing it twice changes nothing."""
    from mlops_assets.lake.tables import replace_window

    return replace_window(predictions_uri(lake, model), table, window=window.key)
