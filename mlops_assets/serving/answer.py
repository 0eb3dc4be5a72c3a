"""One request, scored: body in, predictions with the version that made them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.body import read_columns
from mlops_assets.serving.columns import to_features
from mlops_assets.serving.problems import WrongValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mlops_assets.serving.models import Served

_OF_CLASSES = {"class": "web", "probabilities": {"app": 0.2, "store": 0.1, "web": 0.7}}
EXAMPLES = {
    task: {"value": {"model": "returns", "version": 3, "generation": 5, "predictions": predictions}}
    for task, predictions in {"binary": [0.81], "multiclass": [_OF_CLASSES], "regression": [12.5]}.items()
}


@dataclass(frozen=True)
class Answer:
    """What a caller gets.

    Attributes:
        predictions: One per row, in order: the probability of the positive class, or the predicted value; of a
            multiclass model the most probable `class` and the `probabilities` by class.
    """

    model: str
    version: int
    generation: int
    predictions: list[Any]


def answer(served: Served, data: bytes) -> Answer:
    """Score the rows of a request body.

    Raises:
        Problem: The body does not fit the model.
    """
    from mlops_assets.predictor.errors import WrongFeatureType

    columns, rows = read_columns(data)
    features = to_features(columns, rows, served.predictor)
    try:
        scores = served.predictor.predict(features)
    except WrongFeatureType as error:
        raise WrongValue(error.feature, found=error.found, required=error.required) from error
    classes = served.predictor.manifest.classes
    predictions = _by_class(scores, classes) if classes else scores.tolist()
    return Answer(served.model, served.route.version, served.generation, predictions)


def _by_class(scores: np.ndarray[Any, Any], classes: Sequence[str]) -> list[dict[str, Any]]:
    best = scores.argmax(axis=1).tolist()
    return [
        {"class": classes[place], "probabilities": dict(zip(classes, row, strict=True))}
        for place, row in zip(best, scores.tolist(), strict=True)
    ]
