"""A line of the log without the rows of somebody; the rows of others keep their places and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.predictions.log.columns import text_of
from mlops_assets.predictions.log.feedback import feedback_of
from mlops_assets.predictions.log.line import SHADOW_SUFFIX, CaptureData, GroundTruth, Line, Logged, Part
from mlops_assets.predictions.log.rows import body_of, decode_line, row_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from mlops_assets.predictions.log.rows import ReadRows

    Who = Mapping[str, str]
    Events = AbstractSet[tuple[str, int]]

JSON = "application/json"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Redacted:
    """A line as it may stay.

    Attributes:
        line: Empty if nothing of it may.
        events: Ids and rows of what was theirs, under every name that feedback may call them.
    """

    line: bytes
    events: frozenset[tuple[str, int]] = field(default=frozenset())


def without_person(line: bytes, model: str, who: Who, read_rows: ReadRows) -> Redacted | None:
    """Return a line of predictions without somebody's rows; None if there is none.

    A line that cannot be read goes as a whole if it holds every one of their values.
    """
    found = decode_line(line, model)
    if found is None:
        holds = all(value.encode() in line for value in who.values())
        return Redacted(b"") if holds and line.strip() else None
    envelope, logged = found
    asked = envelope.capture_data.endpoint_input
    try:
        body = [dict(row) for row in read_rows(body_of(asked), asked.observed_content_type)]
    except (MlopsError, ValueError):
        return Redacted(b"") if all(value.encode() in line for value in who.values()) else None
    count = row_count(logged) or len(body)
    numbers = logged.rows or list(range(count))
    places = numbers if len(body) > count else list(range(count))  # of each row in the body
    theirs = {at for at, row in enumerate(body) if _is_theirs(row, envelope, logged, who)}
    vectors = ({name: cells[at] for name, cells in logged.features.items() if at < len(cells)} for at in range(count))
    gone = {
        at
        for at, (place, vector) in enumerate(zip(places, vectors, strict=True))
        if place in theirs
        or _is_theirs({**(body[place] if place < len(body) else {}), **vector}, envelope, logged, who)
    }
    theirs |= {places[at] for at in gone}
    if not theirs:
        return None
    ids = names_of(logged.event_id, envelope.event_metadata.inference_id)
    events = frozenset((one, numbers[at]) for at in gone for one in ids)
    kept = [at for at in range(count) if at not in gone]
    return Redacted(_line(envelope, _cut(logged, kept, numbers), body, theirs) if kept else b"", events)


def without_feedback(line: bytes, events: Events) -> Redacted | None:
    """Return a line of feedback without the labels of some events; None if it has none of them."""
    rows = feedback_of(line) or []
    kept = [row for row in rows if (row[0], row[2]) not in events and (row[1] or "", row[2]) not in events]
    if len(kept) == len(rows):
        return None
    if not kept:
        return Redacted(b"")
    truth = decoder(GroundTruth).decode(line)
    labels = [{"label": label, "row": row, "at": at} for _, _, row, label, at, _ in kept]
    return Redacted(_encode(replace(truth, ground_truth_data=Part(JSON, "INPUT", _encode(labels).decode(), "JSON"))))


def names_of(event_id: str, inference_id: str | None) -> list[str]:
    """Return the ids under which feedback may name an event.

    >>> names_of("e1-shadow", None)
    ['e1-shadow', 'e1']
    """
    named = [event_id, event_id.removesuffix(SHADOW_SUFFIX), *([inference_id] if inference_id else [])]
    return list(dict.fromkeys(named))


def _is_theirs(row: Mapping[str, Any], envelope: Line, logged: Logged, who: Who) -> bool:
    cells = {**row, "event_id": logged.event_id, "inference_id": envelope.event_metadata.inference_id}
    return all(text_of(cells.get(column)) == value for column, value in who.items())


def _cut(logged: Logged, kept: list[int], numbers: list[int]) -> Logged:
    def some(cells: Sequence[Any]) -> list[Any]:
        return [cells[at] for at in kept if at < len(cells)]

    return replace(
        logged,
        predictions=some(logged.predictions),
        units=some(logged.units),
        rows=[numbers[at] for at in kept],
        features={name: some(cells) for name, cells in logged.features.items()},
        features_as_of=some(logged.features_as_of),
    )


def _line(envelope: Line, logged: Logged, body: list[dict[str, Any]], theirs: set[int]) -> bytes:
    rows = [{} if at in theirs else row for at, row in enumerate(body)]
    asked = Part(JSON, "INPUT", _encode({"dataframe_records": rows}).decode(), "JSON")
    said = Part(JSON, "OUTPUT", _encode(logged).decode(), "JSON")
    return _encode(replace(envelope, capture_data=CaptureData(asked, said)))
