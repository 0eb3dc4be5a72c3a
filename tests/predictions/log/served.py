"""What a server logged, made by hand: lines in the envelope, in segments where a server leaves them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from mlops_assets.predictions.log.line import CaptureData, EventMetadata, Line, Logged, Part

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
JSON = "application/json"


def body_of(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode({"dataframe_records": rows}).decode()


def line(requested: list[dict[str, Any]], at: datetime = NOON, inference_id: str | None = None, **logged: Any) -> bytes:
    """Return one line; `requested` are the rows of the request, everything else as `Logged` has it."""
    facts = Logged(**{"model": "returns", "version": 1, "generation": 1, **logged})
    envelope = Line(
        CaptureData(
            Part(JSON, "INPUT", body_of(requested), "JSON"),
            Part(JSON, "OUTPUT", msgspec.json.encode(facts).decode(), "JSON"),
        ),
        EventMetadata(facts.event_id, at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), inference_id),
    )
    return msgspec.json.encode(envelope)


def answer(number: int, score: float = 0.5, **logged: Any) -> bytes:
    """Return the line of a request of one row."""
    requested = logged.pop("request", [{"customer": f"c{number}", "amount": float(number)}])
    at = logged.pop("at", NOON + timedelta(seconds=number))
    facts = {"event_id": f"e{number}", "predictions": [score], "features": {"amount": [float(number)]}, **logged}
    return line(requested, at, **facts)


def shadow(number: int, score: float = 0.5, **logged: Any) -> bytes:
    """Return the line of a shadow of `answer(number)`."""
    return answer(
        number, score, **{"event_id": f"e{number}-shadow", "role": "shadow", "variant": "challenger", **logged}
    )


def write_segment(
    folder: Path, lines: list[bytes], name: str = "00-w1-1.jsonl", *, at: datetime = NOON, torn: bytes = b""
) -> Path:
    """Leave a segment of an hour below `<folder>/returns/AllTraffic`."""
    path = folder / "returns" / "AllTraffic" / at.strftime("%Y/%m/%d/%H") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(one + b"\n" for one in lines) + torn)
    return path
