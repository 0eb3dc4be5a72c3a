"""One request, scored: body in, predictions with the version that made them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.serving.body import read_columns
from mlops_assets.serving.columns import to_features
from mlops_assets.serving.problems import WrongValue

if TYPE_CHECKING:
    from mlops_assets.serving.models import Served


@dataclass(frozen=True)
class Answer:
    """What a caller gets.

    Attributes:
        predictions: One per row, in order: the probability of the positive class, or the predicted value.
    """

    model: str
    version: int
    generation: int
    predictions: list[float]


def answer(served: Served, data: bytes) -> Answer:
    """Score the rows of a request body.

    Raises:
        Problem: The body does not fit the model.
    """
    from mlops_assets.predictor.errors import WrongFeatureType

    columns, rows = read_columns(data)
    features = to_features(columns, rows, served.predictor)
    try:
        predictions = served.predictor.predict(features)
    except WrongFeatureType as error:
        raise WrongValue(error.feature, found=error.found, required=error.required) from error
    return Answer(served.model, served.route.version, served.generation, predictions.tolist())
