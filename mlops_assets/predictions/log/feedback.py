"""Labels that were sent for predictions: ground-truth lines as rows, and what is known of them by now."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.lake.engine import attach, attach_arrow, attach_query
from mlops_assets.lake.tables import exists, snapshot
from mlops_assets.predictions.log.columns import text_of
from mlops_assets.predictions.log.line import GroundTruth
from mlops_assets.predictions.log.rows import body_of
from mlops_assets.predictions.log.table import feedback_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb
    import pyarrow as pa

FEEDBACK_KEY = ("event_id", "inference_id", "row", "label", "known_at", "received_at")
RECEIVED_AT = "received_at"
_decode = decoder(GroundTruth).decode
Row = tuple[str, str | None, int, str | None, datetime, datetime]


class Labelled(msgspec.Struct):
    """The data of a ground-truth line that says more than a label.

    Attributes:
        row: Position in the request.
        at: When the label became known; else when it was received.
    """

    label: str | int | float | bool | None
    row: int = 0
    at: datetime | None = None


_labelled = decoder(list[Labelled] | Labelled | str | int | float | bool | None).decode


def feedback_schema() -> pa.Schema:
    """Return the columns of the table: labels are text, for only the model's task says what they are."""
    import pyarrow as pa

    time = pa.timestamp("us", "UTC")
    types = (pa.string(), pa.string(), pa.int64(), pa.string(), time, time)
    return pa.schema(list(zip(FEEDBACK_KEY, types, strict=True)))


def feedback_rows(lines: Iterable[bytes]) -> tuple[pa.Table, int]:
    """Return the labels of some lines, and how many lines are no ground truth."""
    import pyarrow as pa

    rows: list[Row] = []
    foreign = 0
    for line in lines:
        if line.strip():  # blank where somebody was forgotten
            found = feedback_of(line)
            rows.extend(found or ())
            foreign += found is None
    schema = feedback_schema()
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    return pa.table(
        [pa.array(cells, field.type) for cells, field in zip(columns, schema, strict=True)], schema
    ), foreign


def feedback_of(line: bytes) -> list[Row] | None:
    """Return the labels of one line; None if it is no ground truth.

    Data in CSV has one label a row of the request, as SageMaker has it; in JSON it is a label, or objects with `label`,
    `row` and `at`.
    """
    try:
        truth = _decode(line)
        meta = truth.event_metadata
        received = datetime.fromisoformat(meta.inference_time).astimezone(UTC)
        labels = list(_labels(truth))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, csv.Error):
        return None
    return [
        (meta.event_id, meta.inference_id, one.row, text_of(one.label), _utc(one.at) or received, received)
        for one in labels
    ]


def attach_feedback(con: duckdb.DuckDBPyConnection, lake: str, model: str, *, now: datetime) -> None:
    """Make the view `feedback`: what is known by now, under each id that it was sent for."""
    if exists(uri := feedback_uri(lake, model)):
        attach(con, "sent", snapshot(uri))
    else:
        attach_arrow(con, "sent", feedback_schema().empty_table())
    query = f"""
        select unnest(list_distinct([event_id, inference_id])) as event_id, row, label, known_at, received_at from sent
        where label is not null and known_at <= '{now.isoformat()}'::timestamptz
    """
    attach_query(con, "feedback", query)


def _labels(truth: GroundTruth) -> Iterator[Labelled]:
    part = truth.ground_truth_data
    if part.encoding == "JSON":
        found = _labelled(part.data)
        yield from found if isinstance(found, list) else [found if isinstance(found, Labelled) else Labelled(found)]
        return
    for at, cells in enumerate(csv.reader(io.StringIO(body_of(part).decode()))):
        yield Labelled(cells[0] if cells and cells[0] else None, at)


def _utc(t: datetime | None) -> datetime | None:
    return None if t is None else t.astimezone(UTC) if t.tzinfo else t.replace(tzinfo=UTC)
