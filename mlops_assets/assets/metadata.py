"""Evidence as Dagster metadata: numbers that plot over time, pictures and tables below 100 kB."""

import base64
import math
from collections.abc import Mapping, Sequence

import dagster as dg

LARGEST_PICTURE = 75_000  # bytes; base64 makes it a third larger, and an event row should stay below 100 kB


def numbers(values: Mapping[str, float | None], *, prefix: str = "") -> dict[str, dg.MetadataValue]:
    """Return finite numbers as float metadata; Dagster plots them over time, and refuses NaN."""
    return {
        f"{prefix}{name}": dg.MetadataValue.float(float(value))
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }


def picture(png: bytes, *, title: str) -> dg.MetadataValue:
    """Return a PNG as markdown metadata, or a note when it is too large for an event."""
    if len(png) > LARGEST_PICTURE:
        return dg.MetadataValue.text(f"{title}: {len(png):,} bytes, more than {LARGEST_PICTURE:,}; see the MLflow run")
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> dg.MetadataValue:
    """Return a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return dg.MetadataValue.md("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def link(uri: str) -> dg.MetadataValue:
    """Return a file of the lake as something to open: a URL for S3, else a path."""
    return dg.MetadataValue.url(uri) if "://" in uri else dg.MetadataValue.path(uri)
