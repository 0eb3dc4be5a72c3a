"""From vectors to predictions: which form of a model scores a batch, and the columns that it adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.predictor.forms import BOOSTER
from mlops_assets.predictor.golden import TOLERANCE
from mlops_assets.predictor.outputs import PREDICTED_CLASS, PROBABILITIES, SCORE, output_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.predictor.golden import Scorer

MODEL_VERSION = "model_version"
RESERVED = (SCORE, PREDICTED_CLASS, PROBABILITIES, MODEL_VERSION)
LABEL_COLUMNS = ("label", "label_known_at")
PIPELINE = "pipeline"


class ReservedColumn(MlopsError):
    """A key or a feature has the name of a column that scoring adds."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"columns to score: {found}",
            found="a key or feature of that name",
            required=f"names other than {', '.join(RESERVED)}",
            remedy="Rename it in the spine or the feature view.",
        )


def batch_scorer(predictor: Predictor) -> tuple[str, Scorer]:
    """Return the form that scores many rows fastest, and its name: tables and booster, else the pipeline.

    A form was compared with the pipeline when it was saved; it must also give the golden scores on this machine.
    """
    booster = predictor.forms().get(BOOSTER) if BOOSTER in predictor.form_files else None
    if booster is not None and predictor.golden.difference(booster) <= TOLERANCE:
        return BOOSTER, booster
    return PIPELINE, predictor


def score_window(
    vectors: pa.Table, predictor: Predictor, *, model_version: int, scorer: Scorer | None = None
) -> pa.Table:
    """Return the vectors with their scores (`predictor.outputs`) and `model_version`.

    Labels are left out, for they were not known then.

    Args:
        scorer: The form of the predictor to use; the pipeline if None.

    Raises:
        ReservedColumn: A column has the name of one that scoring adds, for whatever task.
    """
    import pyarrow as pa

    kept = [name for name in vectors.column_names if name not in LABEL_COLUMNS]
    for name in RESERVED:
        if name in kept:
            raise ReservedColumn(name)
    scored = vectors.select(kept)
    scores: Any = (scorer or predictor).predict(scored)
    for name, values in output_columns(scores, predictor.manifest.signature).items():
        scored = scored.append_column(name, values)
    return scored.append_column(MODEL_VERSION, pa.repeat(pa.scalar(model_version, pa.int64()), len(scored)))


def predictions_uri(lake: str, model: str) -> str:
    """Return where the predictions of a model are."""
    from mlops_assets.lake.uris import join

    return join(lake, "predictions", model)
