"""The lines of the prediction log that a request leaves: one for each arm's part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mlops_assets.predictions.log.line import CaptureData, EventMetadata, Line, Logged
from mlops_assets.predictions.log.line import Part as Direction
from mlops_assets.serving.body import CSV

if TYPE_CHECKING:
    from mlops_assets.predictions.log.line import Role
    from mlops_assets.serving.arms import Part
    from mlops_assets.serving.models import Served

_encode = msgspec.json.Encoder().encode
JSON = "application/json"


class Asked(msgspec.Struct, frozen=True):
    """A request as its lines name it.

    Attributes:
        at: Time of the request as text (`event_ids.utc_text`).
        inference_id: As the caller named it.
    """

    body: bytes
    content_type: str
    at: str
    inference_id: str | None = None


def line_of(served: Served, part: Part, asked: Asked, *, latency_us: int, role: Role = "answer") -> bytes:
    """Return the line of one part."""
    scored, traffic = part.scored, served.traffic
    logged = Logged(
        model=served.model,
        version=part.arm.route.version,
        generation=served.generation,
        predictions=scored.predictions if scored else [],
        event_id=part.event_id,
        variant=part.variant,
        role=role,
        assigned=part.assigned,
        label=traffic.label if traffic and part.units else "",
        units=[unit.hex() for unit in part.units],
        rows=part.positions or [],
        status=part.status,
        error=part.error,
        latency_us=latency_us,
        arm_us=int((part.seconds or 0) * 1e6),
        features=scored.features if scored else {},
        features_as_of=scored.features_as_of if scored else [],
        defaulted=list(scored.defaulted) if scored else [],
    )
    is_csv = asked.content_type.startswith(CSV)
    line = Line(
        CaptureData(
            Direction(asked.content_type, "INPUT", asked.body.decode(), "CSV" if is_csv else "JSON"),
            Direction(JSON, "OUTPUT", _encode(logged).decode(), "JSON"),
        ),
        EventMetadata(part.event_id, asked.at, asked.inference_id),
    )
    return _encode(line)
