"""A source's windows from staging to published tables: write, audit, publish.

Good rows become one Delta commit a window, bad ones go to quarantine, and a verdict tells every consumer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.audit import audit
from mlops_assets.contract.types import arrow_type
from mlops_assets.contract.verdict import write_verdict
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.staging import stage
from mlops_assets.ingestion.windowing import split
from mlops_assets.lake.engine import connect
from mlops_assets.lake.tables import Snapshot, exists, overwrite, replace_window, snapshot
from mlops_assets.lake.uris import join
from mlops_assets.lake.windows import Window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.findings import Finding
    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.spec import IngestionSpec


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


@dataclass(frozen=True)
class Published:
    """What became of one window of one table.

    Attributes:
        table: Name of the table in its source.
        window: Key of the window; None for a whole table.
        load_id: dlt's name of the load.
        rows: Clean rows.
        quarantined_rows: Rows set aside.
        version: Delta version of the commit; None if blocked.
        findings: One per check.
        schema_changes: Type of each column that the table did not have before.
        uri: Place of the table.
        quarantine_uri: Place of the rows set aside.
        blocked: Whether a block rule failed; the table is as it was.
    """

    table: str
    window: str | None
    load_id: str
    rows: int
    quarantined_rows: int
    version: int | None
    findings: tuple[Finding, ...]
    schema_changes: dict[str, str]
    uri: str
    quarantine_uri: str
    blocked: bool


@dataclass(frozen=True)
class Run:
    """What all windows of one ingestion share."""

    con: duckdb.DuckDBPyConnection
    spec: IngestionSpec
    load_id: str
    lake: str
    now: datetime


def ingest(
    spec: IngestionSpec, tables: Sequence[str], *, windows: Sequence[Window], lake: str, folder: Path, now: datetime
) -> list[Published]:
    """Read the source once for all windows, judge each window, and publish it.

    The same windows again give the same rows: what is gone at the source is gone here.

    Args:
        windows: Oldest first, without gaps; empty for a source without partitions.
        lake: Root of the lake.
        folder: For dlt's working files.

    Raises:
        WindowsMismatch: Windows and partitions do not fit.
        SourceFailed: The source raised.
        SchemaChanged: A column has another type than declared. Nothing was published.
        RuleDoesNotRun: DuckDB cannot evaluate a rule. Nothing of this table was published.
    """
    if bool(windows) != (spec.partitions is not None):
        raise WindowsMismatch(spec, len(windows))
    span = Window(f"{windows[0].key} to {windows[-1].key}", windows[0].start, windows[-1].end) if windows else None
    staged = stage(spec, tables, window=span, folder=folder)
    with connect() as con:
        run = Run(con, spec, staged.load_id, lake, now)
        return [
            _publish(run, table, part, window=window)
            for table in tables
            for window, part in _parts(spec, staged.tables[table], windows)
        ]


def _parts(
    spec: IngestionSpec, table: pa.Table, windows: Sequence[Window]
) -> list[tuple[Window, pa.Table]] | list[tuple[None, pa.Table]]:
    return split(table, windows, column=spec.partitions.column) if spec.partitions else [(None, table)]


def _publish(run: Run, table: str, rows: pa.Table, *, window: Window | None) -> Published:
    uri, quarantine_uri = (join(run.lake, area, run.spec.name, table) for area in ("raw", "quarantine"))
    key = window.key if window else None
    declared, name = run.spec.tables[table], f"{run.spec.name}/{table}"
    held = snapshot(uri, window=key) if exists(uri) else None
    outcome = audit(run.con, rows, declared, name=name, window=window, load_id=run.load_id, now=run.now, published=held)
    _write(quarantine_uri, outcome.quarantined, key)
    published = Published(
        table=table,
        window=key,
        load_id=run.load_id,
        rows=outcome.clean.num_rows,
        quarantined_rows=outcome.quarantined.num_rows,
        version=None if outcome.blocked else _write(uri, outcome.clean, key),
        findings=outcome.findings,
        schema_changes=_schema_changes(outcome.clean, declared, held),
        uri=uri,
        quarantine_uri=quarantine_uri,
        blocked=outcome.blocked,
    )
    write_verdict(run.lake, run.spec.name, table, key, {**asdict(published), "ingested_at": run.now.isoformat()})
    return published


def _write(uri: str, table: pa.Table, window: str | None) -> int:
    return overwrite(uri, table) if window is None else replace_window(uri, table, window=window)


def _schema_changes(clean: pa.Table, declared: TableSpec, held: Snapshot | None) -> dict[str, str]:
    before = {name: str(arrow_type(kind)) for name, kind in declared.columns.items()}
    before |= {} if held is None else {field.name: str(field.type) for field in held.schema}
    return {field.name: str(field.type) for field in clean.schema if field.name not in before}
