"""A source's windows from staging to published tables: write, audit, publish.

Good rows become one Delta commit a window, bad ones go to quarantine, and a verdict tells every consumer.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from mlops_assets.contract.audit import audit
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.modes import newest_rows
from mlops_assets.ingestion.outcome import Published, earlier_rows, published_as, write_outcome
from mlops_assets.ingestion.part import Part, Table
from mlops_assets.ingestion.publish import publish
from mlops_assets.ingestion.quarantine import drop_unpublished, set_all_aside
from mlops_assets.ingestion.schema_changes import note_schema_changes, schema_changes
from mlops_assets.ingestion.staging import stage
from mlops_assets.ingestion.windowing import split
from mlops_assets.lake.engine import connect
from mlops_assets.lake.tables import newest_version
from mlops_assets.lake.windows import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.audit import Audit
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.tables import Snapshot


class WindowsMismatch(MlopsError):
    """Windows were given for a source without partitions, or none for a source with them."""

    def __init__(self, spec: IngestionSpec, windows: int) -> None:
        required = "at least one window" if spec.partitions else "none: the source has no partitions"
        super().__init__(
            f"Ingestion of {spec.name}",
            found=f"{windows} windows",
            required=required,
            remedy="Pass the matching windows.",
        )


def ingest(
    spec: IngestionSpec,
    tables: Sequence[str],
    *,
    windows: Sequence[Window],
    lake: str,
    folder: Path,
    now: datetime,
    full: bool = False,
) -> list[Published]:
    """Read the source once for all windows, judge each window, and publish it by the mode of its table.

    The same rows again change nothing, not even the version of the table. Windows that are replaced are published together,
    in one commit.

    Args:
        windows: Oldest first, without gaps; empty for a source without partitions.
        lake: Root of the lake.
        folder: For dlt's working files.
        full: Read everything again, whatever the cursors say.

    Raises:
        WindowsMismatch: Windows and partitions do not fit.
        SourceFailed: The source raised.
        SchemaChanged: A column has another type than declared. Nothing was published.
        RuleDoesNotRun: DuckDB cannot evaluate a rule. Nothing of this table was published.
        LoadOvertaken: Another load of a whole table was published meanwhile. Nothing of this table was published.
    """
    if bool(windows) != (spec.partitions is not None):
        raise WindowsMismatch(spec, len(windows))
    span = Window(f"{windows[0].key} to {windows[-1].key}", windows[0].start, windows[-1].end) if windows else None
    places = {name: Table(spec, name, lake) for name in tables}
    before = {name: place.standing() for name, place in places.items()}
    states = {name: one.state for name, one in before.items() if one.state is not None}
    staged = stage(spec, tables, window=span, folder=folder, states=states, full=full)
    with connect() as con:
        loads = [
            (
                Part(
                    places[name],
                    window,
                    staged.load_id,
                    now,
                    name in staged.complete,
                    before[name],
                    staged.states.get(name),
                ),
                rows,
            )
            for name in tables
            for window, rows in _windowed(spec, staged.tables[name], windows)
        ]
        return [one for together in _together(loads) for one in _ingest_parts(con, together)]


def _windowed(
    spec: IngestionSpec, table: pa.Table, windows: Sequence[Window]
) -> list[tuple[Window, pa.Table]] | list[tuple[None, pa.Table]]:
    return split(table, windows, column=spec.partitions.column) if spec.partitions else [(None, table)]


def _together(loads: Sequence[tuple[Part, pa.Table]]) -> list[list[tuple[Part, pa.Table]]]:
    """Return what is published in one commit: all windows of a table, unless each is compared with the one before."""
    by_table = [list(found) for _, found in groupby(loads, key=lambda load: load[0].table.name)]
    return [
        part
        for found in by_table
        for part in ([found] if found[0][0].table.spec.publish == "replace" else [[one] for one in found])
    ]


def _ingest_parts(con: duckdb.DuckDBPyConnection, parts: Sequence[tuple[Part, pa.Table]]) -> list[Published]:
    table = parts[0][0].table
    version = newest_version(table.uri)
    judged: list[tuple[Part, Audit]] = []
    counts: dict[str | None, int | None] = {}
    for part, rows in parts:
        outcome = _judge(con, part, rows, part.held(version), counts)
        counts[part.key] = None if outcome.blocked else outcome.clean.num_rows + outcome.quarantined.num_rows
        judged.append((part, outcome))
    put = set_all_aside(con, [(part, one.quarantined) for part, one in judged])
    good = [(part, one.clean) for part, one in judged if not one.blocked]
    commits = publish(con, good, set_aside=put) if good else []
    if good and table.is_cumulative:
        drop_unpublished(table)
    by_window = {part.key: one for (part, _), one in zip(good, commits, strict=True)}
    told: list[Published] = []
    for (part, outcome), (_, rows) in zip(judged, parts, strict=True):
        known = {name for one in told if not one.blocked for name in one.schema_changes}
        new_columns = schema_changes(part, rows, part.held(version), known)
        told.append(_told(part, published_as(part, outcome, by_window.get(part.key), new_columns)))
    return told


def _judge(
    con: duckdb.DuckDBPyConnection,
    part: Part,
    rows: pa.Table,
    held: Snapshot | None,
    counts: Mapping[str | None, int | None],
) -> Audit:
    spec = part.table.spec
    is_first = held is not None and not held.files and set(held.schema.names) <= set(spec.columns)
    return audit(
        con,
        newest_rows(con, rows, spec) if spec.publish == "upsert" else rows,
        spec,
        name=part.table.reference,
        window=part.window,
        load_id=part.load_id,
        now=part.now,
        published=None if is_first else held,
        earlier_rows=earlier_rows(part, counts),
    )


def _told(part: Part, published: Published) -> Published:
    note_schema_changes(part, published.schema_changes)
    write_outcome(part, published)
    return published
