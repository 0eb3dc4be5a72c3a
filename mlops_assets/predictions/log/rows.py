"""Lines of the log as rows of its table: one for each row of a request, what it asked and saw in columns of their own."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.predictions.log.columns import user_columns
from mlops_assets.predictions.log.line import Line, Logged, Part
from mlops_assets.predictions.log.scanned import score_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from mlops_assets.predictor.signature import Kind

    ReadRows = Callable[[bytes, str], Sequence[Mapping[str, Any]]]
    KindsOf = Callable[[int], Mapping[str, Kind]]

SECOND = 1_000_000
_line = decoder(Line).decode
_logged = decoder(Logged).decode


@dataclass
class Parsed:
    """The rows of some lines, as columns.

    Attributes:
        own: Columns of the log itself, by name.
        asked: By row, what the request had and the vector that was scored.
        foreign: Lines that are none of this model's.
    """

    own: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    foreign: int = 0

    def __len__(self) -> int:
        return len(self.asked)


def batched(lines: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield lines, some at a time."""
    waiting = iter(lines)
    while chunk := list(islice(waiting, size)):
        yield chunk


def own_schema(*, has_classes: bool) -> pa.Schema:
    """Return the columns of the log itself."""
    import pyarrow as pa

    text, number, time = pa.string(), pa.int64(), pa.timestamp("us", "UTC")
    columns = {
        "event_id": text,
        "row": number,
        "inference_id": text,
        "prediction_time": time,
        "model_version": number,
        "generation": number,
        "variant": text,
        "role": text,
        "assigned": text,
        "traffic": text,
        "unit": text,
        "http_status": number,
        "error": text,
        "latency_us": number,
        "arm_us": number,
        "feature_count": number,
        "null_count": number,
        "features_as_of": time,
        "defaulted": pa.list_(text),
        "score": pa.float64(),
    }
    classes = {"predicted_class": text, "probabilities": pa.list_(pa.float64())}
    return pa.schema({**columns, **(classes if has_classes else {})})


def decode_line(line: bytes, model: str) -> tuple[Line, Logged] | None:
    """Return the envelope and the reply in it; None if the line is none of this model's."""
    try:
        envelope = _line(line)
        logged = _logged(envelope.capture_data.endpoint_output.data)
        datetime.fromisoformat(envelope.event_metadata.inference_time)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None
    return (envelope, logged) if logged.model == model else None


def requested_rows(envelope: Line, logged: Logged, read_rows: ReadRows) -> list[Mapping[str, Any]]:
    """Return the rows of a request that a line is about; empty ones where its body cannot be read."""
    part, count = envelope.capture_data.endpoint_input, row_count(logged)
    try:
        rows = read_rows(body_of(part), part.observed_content_type)
    except (MlopsError, ValueError):  # logged by another release, or a body that was refused
        rows = []
    if logged.rows and len(rows) > len(logged.rows):  # the line has the body of the whole request
        return [rows[at] if at < len(rows) else {} for at in logged.rows]
    padded = [*rows[: count or None], *({} for _ in range(count - len(rows)))]
    return padded or [{}]  # a failure counts, also of nobody knows how many rows


def row_count(logged: Logged) -> int:
    """Return how many rows a line is about, as far as the reply says; of a failure without units that is 0."""
    return max(len(logged.predictions), len(logged.units), len(logged.rows))


def body_of(part: Part) -> bytes:
    """Return the bytes of a body."""
    return base64.b64decode(part.data) if part.encoding == "BASE64" else part.data.encode()


def parse(lines: Iterable[bytes], model: str, read_rows: ReadRows) -> Parsed:
    """Return the rows of some lines of one model."""
    parsed = Parsed({name: [] for name in own_schema(has_classes=True).names})
    for line in lines:
        if line.strip():  # blank where somebody was forgotten
            found = decode_line(line, model)
            if found is None:
                parsed.foreign += 1
            else:
                _add(parsed, *found, read_rows)
    return parsed


def to_table(parsed: Parsed, *, kinds: KindsOf, text: Iterable[str], held: pa.Schema | None) -> pa.Table:
    """Return the rows as they stand in the table.

    Args:
        kinds: Of the features of each version.
        text: Columns that name somebody or something: they are text whatever was sent, so that they can be looked for.
        held: Columns of the table so far, whose types stay.
    """
    import pyarrow as pa

    schema = own_schema(has_classes=any(name is not None for name in parsed.own["predicted_class"]))
    own = pa.table({name: parsed.own[name] for name in schema.names}, schema=schema)
    versions = parsed.own["model_version"]
    declared = {version: kinds(version) for version in set(versions)}
    for name, values in user_columns(parsed.asked, versions, kinds=declared, text=frozenset(text), held=held).items():
        own = own.append_column(name, values)
    return own


def _add(parsed: Parsed, envelope: Line, logged: Logged, read_rows: ReadRows) -> None:
    meta, requested = envelope.event_metadata, requested_rows(envelope, logged, read_rows)
    names, values = list(logged.features), list(logged.features.values())
    shared = {
        "event_id": logged.event_id,
        "inference_id": meta.inference_id,
        "prediction_time": datetime.fromisoformat(meta.inference_time).astimezone(UTC),
        "model_version": logged.version,
        "generation": logged.generation,
        "variant": logged.variant,
        "role": logged.role,
        "assigned": logged.assigned,
        "traffic": logged.label,
        "http_status": logged.status,
        "error": logged.error,
        "latency_us": logged.latency_us,
        "arm_us": logged.arm_us,
        "feature_count": len(names),
        "defaulted": logged.defaulted,
    }
    for at, request in enumerate(requested):
        vector = [value[at] if at < len(value) else None for value in values]
        prediction = logged.predictions[at] if at < len(logged.predictions) else None
        score, name = score_of(prediction)
        row = {
            **shared,
            "row": logged.rows[at] if logged.rows else at,
            "unit": logged.units[at] if at < len(logged.units) else "",
            "null_count": vector.count(None),
            "features_as_of": _time(logged.features_as_of[at]) if at < len(logged.features_as_of) else None,
            "score": score,
            "predicted_class": name,
            "probabilities": _probabilities(prediction),
        }
        for column, cells in parsed.own.items():
            cells.append(row[column])
        parsed.asked.append({**request, **dict(zip(names, vector, strict=True))})


def _probabilities(prediction: Any) -> list[float] | None:
    return list(prediction["probabilities"].values()) if isinstance(prediction, dict) else None


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / SECOND, UTC)
