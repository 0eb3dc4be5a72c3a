"""What became of a window of a table: the value that a run shows, and the verdict that consumers read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.verdict import contract_hash, read_verdict, write_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.contract.audit import Audit
    from mlops_assets.contract.findings import Finding
    from mlops_assets.ingestion.part import Part
    from mlops_assets.ingestion.publish import Commit


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


def published_as(part: Part, outcome: Audit, committed: Commit | None, new_columns: dict[str, str]) -> Published:
    """Return what became of a part; without a commit it is blocked."""
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
    """Store the verdict that consumers of the window read."""
    spec = part.table.spec
    contract = {"version": spec.version, "sha256": contract_hash(spec)}
    findings = [vars(one) for one in published.findings]
    facts = {**vars(published), "findings": findings, "contract": contract, "ingested_at": part.now.isoformat()}
    write_verdict(part.table.lake, part.table.source.name, part.table.name, part.key, facts)


def earlier_rows(part: Part, counts: Mapping[str | None, int | None] | None = None) -> list[int]:
    """Return how many rows the windows before had, as far back as the contract compares.

    Args:
        counts: Of windows judged just now; None for one that is blocked.
    """
    source, band = part.table.source, part.table.spec.row_count
    if source.partitions is None or part.window is None or band is None or band.history is None:
        return []
    keys = [window.key for window in source.partitions.windows(part.window.start)[-band.history.windows :]]
    known = {**{key: _rows_before(part, key) for key in keys if key not in (counts or {})}, **(counts or {})}
    return [rows for rows in map(known.get, keys) if rows is not None]


def _rows_before(part: Part, key: str) -> int | None:
    verdict = read_verdict(part.table.lake, part.table.source.name, part.table.name, key)
    return None if verdict is None or verdict["blocked"] else verdict["rows"] + verdict["quarantined_rows"]
