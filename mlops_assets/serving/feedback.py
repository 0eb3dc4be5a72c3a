"""Labels that callers post: checked, then written as SageMaker's ground-truth lines.

Keep out: how labels meet predictions (`predictions/log/`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from mlops_assets.decoding import decoder
from mlops_assets.predictions.log.line import EventMetadata, GroundTruth
from mlops_assets.predictions.log.line import Part as Direction
from mlops_assets.serving.event_ids import utc_text
from mlops_assets.serving.http_problems import TooManyRows
from mlops_assets.serving.problems import NotJson, WrongShape

if TYPE_CHECKING:
    from mlops_assets.clock import Clock
    from mlops_assets.serving.capture import Capture
    from mlops_assets.serving.options import ServerOptions

LONGEST_ID, LONGEST_LABEL, LAST_ROW = 128, 1000, 9_999_999
LABELS = "a label, or a list of them, each with `label` and either `event_id` or `inference_id`"
Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
Value = Annotated[str, Meta(max_length=LONGEST_LABEL)] | int | float | bool


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The label of one row of a request.

    Attributes:
        event_id: As the reply named it; or `inference_id`, as the caller named the request.
        row: Position in the request; 7.0 is 7.
        at: When the label became known; by default when it is received.
    """

    label: Value
    event_id: Id | msgspec.UnsetType = msgspec.UNSET
    inference_id: Id | msgspec.UnsetType = msgspec.UNSET
    row: Annotated[float, Meta(ge=0, le=LAST_ROW)] = 0.0
    at: Annotated[datetime, Meta(tz=True)] | msgspec.UnsetType = msgspec.UNSET


class _Known(msgspec.Struct, frozen=True, omit_defaults=True):
    label: Value
    row: int = 0
    at: datetime | None = None


_decode = decoder(list[Label] | Label).decode
_encode = msgspec.json.Encoder().encode


class Feedback:
    """Takes the labels of one worker; made and used in its event loop."""

    def __init__(self, capture: Capture, options: ServerOptions, *, clock: Clock) -> None:
        self._capture, self._options, self._clock = capture, options, clock

    async def take(self, model: str, body: bytes) -> int:
        """Return how many labels stand in the log now.

        Raises:
            NotJson: The body is not JSON.
            WrongShape: It is no label.
            TooManyRows: It is too many.
            LogUnavailable: They could not be written.
        """
        labels = read_labels(body)
        if len(labels) > self._options.max_rows:
            raise TooManyRows(len(labels), self._options.max_rows)
        received = utc_text(self._clock.now().timestamp())
        await self._capture.commit(model, [_line(one, received) for one in labels], kind="feedback")
        return len(labels)


def read_labels(body: bytes) -> list[Label]:
    """Return the labels of a body.

    Raises:
        NotJson: It is not JSON.
        WrongShape: It is JSON of another shape.
    """
    try:
        found = _decode(body)
    except msgspec.ValidationError as error:
        raise WrongShape(str(error), required=LABELS) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error
    labels = found if isinstance(found, list) else [found]
    for place, one in enumerate(labels):
        if (not one.event_id) == (not one.inference_id):
            both = "both" if one.event_id else "neither"
            raise WrongShape(both, field=f"[{place}]", required="either event_id or inference_id")
        if not one.row.is_integer():
            raise WrongShape(f"row {one.row}", field=f"[{place}].row", required="a whole number")
    return labels


def _line(label: Label, received: str) -> bytes:
    at = _in_utc(label.at) if label.at else None
    truth = Direction("application/json", "INPUT", _encode(_Known(label.label, int(label.row), at)).decode(), "JSON")
    event_id = label.event_id or label.inference_id or ""
    return _encode(GroundTruth(truth, EventMetadata(event_id, received, label.inference_id or None)))


def _in_utc(at: datetime) -> datetime:
    """Return a time in UTC; the first or last day that there is has no other zone."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return at.replace(tzinfo=UTC)
