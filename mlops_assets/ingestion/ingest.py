"""A source's windows from staging to published tables: write, audit, publish.

Good rows become one Delta commit a window, bad ones go to quarantine, and a verdict tells every consumer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.audit import audit
from mlops_assets.contract.verdict import contract_hash, read_verdict, write_verdict
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.modes import newest_rows
from mlops_assets.ingestion.part import Part, Table
from mlops_assets.ingestion.publish import publish
from mlops_assets.ingestion.quarantine import drop_unpublished, set_aside
from mlops_assets.ingestion.schema_changes import note_schema_changes, schema_changes
from mlops_assets.ingestion.staging import stage
from mlops_assets.ingestion.windowing import split
from mlops_assets.lake.engine import connect
from mlops_assets.lake.tables import newest_version
from mlops_assets.lake.windows import Window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.audit import Audit
    from mlops_assets.contract.findings import Finding
    from mlops_assets.ingestion.publish import Commit
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
        rows: Clean rows of the load.
        quarantined_rows: Rows set aside.
        version: Delta version that holds them; None if blocked.
        findings: One per check.
        schema_changes: Type of each column that was neither declared nor there before.
        uri: Place of the table.
        quarantine_uri: Place of the rows set aside.
        blocked: Whether a block rule failed; the table is as it was.
        added: Rows that the table or window did not have.
        changed: Rows whose key it had with other values.
        vanished: Rows that it had and that the load, if it read everything, did not bring.
        late: Rows left out, for a newer one of their key is there.
        total_rows: Rows of the table or window now; None if blocked.
        content: Identity of these rows; None if blocked.
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
    added: int = 0
    changed: int = 0
    vanished: int = 0
    late: int = 0
    total_rows: int | None = None
    content: str | None = None


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

    The same rows again change nothing, not even the version of the table.

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
        return [
            _ingest_part(
                con,
                Part(
                    places[name],
                    window,
                    staged.load_id,
                    now,
                    is_complete=name in staged.complete,
                    before=before[name],
                    state=staged.states.get(name),
                ),
                rows,
            )
            for name in tables
            for window, rows in _windowed(spec, staged.tables[name], windows)
        ]


def _windowed(
    spec: IngestionSpec, table: pa.Table, windows: Sequence[Window]
) -> list[tuple[Window, pa.Table]] | list[tuple[None, pa.Table]]:
    return split(table, windows, column=spec.partitions.column) if spec.partitions else [(None, table)]


def _ingest_part(con: duckdb.DuckDBPyConnection, part: Part, rows: pa.Table) -> Published:
    spec = part.table.spec
    held = part.held(newest_version(part.table.uri))
    batch = newest_rows(con, rows, spec) if spec.publish == "upsert" else rows
    outcome = audit(
        con,
        batch,
        spec,
        name=part.table.reference,
        window=part.window,
        load_id=part.load_id,
        now=part.now,
        published=held,
        earlier_rows=earlier_rows(part),
    )
    put = set_aside(con, part, outcome.quarantined)
    committed = None if outcome.blocked else publish(con, part, outcome.clean, set_aside=put)
    if committed and part.table.is_cumulative:
        drop_unpublished(part.table)
    published = _published(part, outcome, committed, schema_changes(part, rows, held))
    note_schema_changes(part, published.schema_changes)
    write_outcome(part, published)
    return published


def _published(part: Part, outcome: Audit, committed: Commit | None, new_columns: dict[str, str]) -> Published:
    change = committed.change if committed else None
    return Published(
        table=part.table.name,
        window=part.key,
        load_id=part.load_id,
        rows=outcome.clean.num_rows,
        quarantined_rows=outcome.quarantined.num_rows,
        version=committed.version if committed else None,
        findings=outcome.findings,
        schema_changes=new_columns,
        uri=part.table.uri,
        quarantine_uri=part.table.quarantine_uri,
        blocked=outcome.blocked,
        added=change.added if change else 0,
        changed=change.changed if change else 0,
        vanished=change.vanished if change else 0,
        late=change.late if change else 0,
        total_rows=change.total_rows if change else None,
        content=committed.content if committed else None,
    )


def write_outcome(part: Part, published: Published) -> None:
    spec = part.table.spec
    contract = {"version": spec.version, "sha256": contract_hash(spec)}
    facts = {**asdict(published), "contract": contract, "ingested_at": part.now.isoformat()}
    write_verdict(part.table.lake, part.table.source.name, part.table.name, part.key, facts)


def earlier_rows(part: Part) -> list[int]:
    """Return how many rows the windows before had, as far back as the contract compares."""
    source, band = part.table.source, part.table.spec.row_count
    if source.partitions is None or part.window is None or band is None or band.history is None:
        return []
    windows = source.partitions.windows(part.window.start)[-band.history.windows :]
    verdicts = [read_verdict(part.table.lake, source.name, part.table.name, window.key) for window in windows]
    return [one["rows"] + one["quarantined_rows"] for one in verdicts if one is not None and not one["blocked"]]
