"""One line of the prediction log: SageMaker's DataCapture envelope, with what monitoring needs inside the logged reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

Variant = Literal["champion", "challenger"]
Role = Literal["answer", "shadow"]
Encoding = Literal["CSV", "JSON", "BASE64"]
SHADOW_SUFFIX = "-shadow"  # behind the `event_id` of the answer whose rows a shadow scored


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """One direction: a request or a reply, as text."""

    observed_content_type: str
    mode: Literal["INPUT", "OUTPUT"]
    data: str
    encoding: Encoding


class CaptureData(msgspec.Struct, frozen=True, rename="camel"):
    """Both directions."""

    endpoint_input: Part
    endpoint_output: Part


class EventMetadata(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Which event; the time in UTC with a Z, the inference id as the caller named it."""

    event_id: str
    inference_time: str
    inference_id: str | None = None


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """The envelope."""

    capture_data: CaptureData
    event_metadata: EventMetadata
    event_version: str = "0"


class Logged(msgspec.Struct, frozen=True, omit_defaults=True):
    """The data of `endpointOutput`: the reply, and what is known beside it.

    One line is one arm's part of one request; its lists have one value a row of that part.

    Attributes:
        variant: The arm that made the scores.
        role: `shadow`: nobody saw them. A shadow has the `event_id` of the answer whose rows it scored, with `SHADOW_SUFFIX`.
        assigned: The arm that the rows had fallen to; another than `variant` where the champion stood in (`error` says why),
            and in the shadow.
        label: Of the traffic (`rollout.state.Traffic.label`); empty without a challenger.
        units: Hex digits of the first 8 bytes of each row's unit hash; empty without a challenger.
        rows: Positions in the request, where the part is not all of it.
        status: HTTP status; of a shadow 200 or 500.
        error: What failed in the assigned arm.
        latency_us: From the first byte to the reply.
        arm_us: In the arm alone: features and model; 0 where several requests were scored in one call.
        features: The vector that was scored, by feature, one value a row.
        features_as_of: Microseconds since the epoch, one a row: how fresh the looked-up features were; empty without lookup.
        defaulted: Features that got a declared fallback, or null in its place, because a lookup failed.
    """

    model: str
    version: int
    generation: int
    predictions: list[Any]
    event_id: str
    variant: Variant = "champion"
    role: Role = "answer"
    assigned: Variant = "champion"
    label: str = ""
    units: list[str] = []
    rows: list[int] = []
    status: int = 200
    error: str = ""
    latency_us: int = 0
    arm_us: int = 0
    features: dict[str, Sequence[Any]] = {}
    features_as_of: Sequence[int | None] = []
    defaulted: list[str] = []


class GroundTruth(msgspec.Struct, frozen=True, rename="camel"):
    """The label of one event: SageMaker's ground-truth line."""

    ground_truth_data: Part
    event_metadata: EventMetadata
    event_version: str = "0"
