"""The rows that a fit and a search may look at: train and validation. The test rows are in neither, by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.lake.stored_table import StoredTable
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.training.labels import labels
from mlops_assets.training.split import in_time_order
from mlops_assets.training.stream import StoredPart, stored_part
from mlops_assets.training.weights import row_weights

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from mlops_assets.predictor.signature import Signature
    from mlops_assets.training.split import Split

    Vector = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """Rows of one part of the split, in time order.

    Attributes:
        frame: Features in the model's order, as `feature_frame` makes them.
        y: Labels; of a multiclass model the positions in `signature.classes`.
        weights: Weight of each row by `training.sample_weight`; None counts all alike.
    """

    frame: pd.DataFrame
    y: Vector
    weights: Vector | None = None


@dataclass(frozen=True)
class LearningRows:
    """What a candidate learns from, and what stops and chooses it."""

    signature: Signature
    train: Part | StoredPart
    validation: Part


def learning_rows(
    table: pa.Table, split: Split, signature: Signature, *, sample_weight: str | None = None
) -> LearningRows:
    """Take the train and the validation rows of a training set.

    Args:
        table: Of a `StoredTable` the train rows stay in their file.
        sample_weight: Column with the weight of each row.
    """

    def part(rows: Vector) -> Part:
        return part_of(table.take(rows), signature, sample_weight=sample_weight)

    is_stored = isinstance(table, StoredTable)
    train = (
        stored_part(table, signature, sample_weight=sample_weight, rows=split.train) if is_stored else part(split.train)
    )
    return LearningRows(signature, train, part(split.validation))


def part_of(table: pa.Table, signature: Signature, *, sample_weight: str | None) -> Part:
    """Take every row of a table."""
    table = in_time_order(table)
    weights = None if sample_weight is None else row_weights(table, sample_weight)
    return Part(feature_frame(table, signature), labels(table, signature.task, signature.classes), weights)
