"""What a caller gets: the predictions, and which version made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mlops_assets.predictions.log.line import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.serving.arms import Part
    from mlops_assets.serving.models import Served


_ID = "0190b1c4-6f1e-7a2b-9c3d-5e8f7a6b1c2d"
_OF_CLASSES = {"class": "web", "probabilities": {"app": 0.2, "store": 0.1, "web": 0.7}}
EXAMPLES = {
    task: {
        "value": {
            "model": "returns",
            "version": 3,
            "generation": 5,
            "variant": "champion",
            "event_id": _ID,
            "predictions": predictions,
        }
    }
    for task, predictions in {"binary": [0.81], "multiclass": [_OF_CLASSES], "regression": [12.5]}.items()
}


class ReplyPart(msgspec.Struct, frozen=True):
    """The rows that one arm answered.

    Attributes:
        rows: Positions in the request.
    """

    variant: Variant
    version: int
    event_id: str
    rows: list[int]


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The reply to a scoring request.

    Attributes:
        version: The one that answered; of a mixed request the champion.
        generation: Of the routing.
        event_id: Names the request for labels; its rows count from 0, whoever answered them.
        predictions: One per row, in order: the probability of the positive class, or the predicted value; of a
            multiclass model the most probable `class` and the `probabilities` by class.
        parts: Who answered which rows, where both arms did.
    """

    model: str
    version: int
    generation: int
    variant: Variant | Literal["mixed"]
    event_id: str
    predictions: list[Any]
    parts: list[ReplyPart] = []


def reply_of(served: Served, parts: Sequence[Part], event_id: str, rows: int) -> Reply:
    """Put the parts of a request together."""
    if len(parts) == 1:
        [part] = parts
        assert part.scored is not None
        version = part.arm.route.version
        return Reply(served.model, version, served.generation, part.variant, event_id, part.scored.predictions)
    predictions: list[Any] = [None] * rows
    for part in parts:
        assert part.scored is not None
        for place, one in zip(part.positions or [], part.scored.predictions, strict=True):
            predictions[place] = one
    version = served.champion.route.version
    shown = [ReplyPart(part.variant, part.arm.route.version, part.event_id, part.positions or []) for part in parts]
    return Reply(served.model, version, served.generation, "mixed", event_id, predictions, shown)
