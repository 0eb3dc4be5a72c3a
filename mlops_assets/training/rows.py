"""The rows that a fit and a search may look at: train and validation. The test rows are in neither, by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.frame import feature_frame
from mlops_assets.training.labels import labels

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from mlops_assets.predictor.signature import Signature
    from mlops_assets.training.split import Split

    Vector = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """Rows of one part of the split.

    Attributes:
        frame: Features in the model's order, as `feature_frame` makes them.
        y: Labels; of a multiclass model the positions in `signature.classes`.
        weights: Weight of each row in fitting; None counts all alike.
    """

    frame: pd.DataFrame
    y: Vector
    weights: Vector | None = None


@dataclass(frozen=True)
class LearningRows:
    """What a candidate learns from, and what stops and chooses it."""

    signature: Signature
    train: Part
    validation: Part


def learning_rows(table: pa.Table, split: Split, signature: Signature) -> LearningRows:
    """Take the train and the validation rows of a training set."""

    def part(rows: Vector) -> Part:
        some = table.take(rows)
        return Part(feature_frame(some, signature), labels(some, signature.task))

    return LearningRows(signature, part(split.train), part(split.validation))
