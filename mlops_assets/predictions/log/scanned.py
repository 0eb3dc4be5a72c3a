"""The lines of one label of traffic on this machine, as few columns: what evidence needs, read fast."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.predictions.log.line import Role, Variant
from mlops_assets.predictions.log.segments import all_segments, read_lines
from mlops_assets.predictions.log.table import CLOCK_SKEW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

TYPES = {
    "event_id": "string",
    "row": "int64",
    "variant": "string",
    "role": "string",
    "assigned": "string",
    "unit": "string",
    "http_status": "int64",
    "error": "string",
    "arm_us": "int64",
    "feature_count": "int64",
    "null_count": "int64",
    "score": "float64",
    "predicted_class": "string",
}


class _Output(msgspec.Struct):
    data: str


class _Data(msgspec.Struct, rename="camel"):
    endpoint_output: _Output


class _Envelope(msgspec.Struct, rename="camel"):
    capture_data: _Data


class _Logged(msgspec.Struct):
    """What evidence needs of `line.Logged`."""

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
    arm_us: int = 0
    features: dict[str, list[Any]] = {}


_envelope = decoder(_Envelope).decode
_logged = decoder(_Logged).decode


def scan(folder: Path, label: str, *, since: datetime | None) -> pa.Table:
    """Return one row for each row of the requests under a label; lines that are not ours are passed over.

    Args:
        folder: Of one model's segments.
        since: Segments that were written to the last time before it are not opened.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [] for name in TYPES}
    appends = [column.append for column in columns.values()]
    for line in _lines(folder, label, since):
        for values in _rows(line):
            for append, value in zip(appends, values, strict=True):
                append(value)
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in TYPES.items()])
    return pa.table(columns, schema=schema)


def score_of(prediction: Any) -> tuple[float | None, str | None]:
    """Return the score of one prediction as it was replied, and its class if it has one."""
    if isinstance(prediction, dict):
        name = prediction.get("class")
        return prediction.get("probabilities", {}).get(name), name
    return prediction, None


def _lines(folder: Path, label: str, since: datetime | None) -> Iterator[_Logged]:
    marker = label.partition("/")[0].encode()  # a slash may be escaped in JSON
    for segment in all_segments(folder):
        if since is not None and _is_older(segment, since):
            continue
        with suppress(FileNotFoundError):  # it was compacted meanwhile
            for line in read_lines(segment)[0]:
                if marker in line and (found := _decoded(line)) is not None and found.label == label:
                    yield found


def _is_older(segment: Path, since: datetime) -> bool:
    try:
        return segment.stat().st_mtime < (since - CLOCK_SKEW).timestamp()
    except FileNotFoundError:  # it was closed or compacted meanwhile
        return False


def _decoded(line: bytes) -> _Logged | None:
    try:
        return _logged(_envelope(line).capture_data.endpoint_output.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _rows(line: _Logged) -> Iterator[tuple[Any, ...]]:
    nulls = [values.count(None) for values in line.features.values()]
    count = max(len(line.predictions), len(line.units), len(line.rows), 1)
    for at in range(count):
        score, name = score_of(line.predictions[at]) if at < len(line.predictions) else (None, None)
        unknown = sum(nulls) if count == 1 else sum(values[at] is None for values in line.features.values())
        yield (
            line.event_id,
            line.rows[at] if line.rows else at,
            line.variant,
            line.role,
            line.assigned,
            line.units[at] if line.units else "",
            line.status,
            line.error,
            line.arm_us,
            len(line.features),
            unknown,
            score,
            name,
        )
