"""Staged rows against their contract: which are clean, which are set aside and why, and what was found.

Add here: nothing but the order of the steps; kinds of rules live in `predicates.py`, `aggregates.py` and `python_check.py`.
Keep out: writing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.aggregates import About, aggregate_findings
from mlops_assets.contract.findings import Finding
from mlops_assets.contract.new_columns import settle_new_columns
from mlops_assets.contract.order import in_key_order
from mlops_assets.contract.predicates import predicates
from mlops_assets.contract.python_check import python_broken
from mlops_assets.contract.quarantine import part
from mlops_assets.contract.scan import scan
from mlops_assets.contract.types import conform
from mlops_assets.lake.engine import attach, attach_arrow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.lake.tables import Snapshot
    from mlops_assets.lake.windows import Window


@dataclass(frozen=True)
class Audit:
    """Rows sorted by what their contract says about them.

    Attributes:
        clean: Rows to publish, in order of key; for an upsert every version of a key, oldest first.
        quarantined: Rows set aside, with `failed_rules`, `load_id`, `window` and `quarantined_at`.
        findings: One per check, in the order of `check_names`.
        blocked: Whether a block rule failed, so that nothing may be published.
    """

    clean: pa.Table
    quarantined: pa.Table
    findings: tuple[Finding, ...]
    blocked: bool


def audit(  # noqa: PLR0913  each is a fact that only the caller has
    con: duckdb.DuckDBPyConnection,
    table: pa.Table,
    spec: TableSpec,
    *,
    name: str,
    window: Window | None,
    load_id: str,
    now: datetime,
    published: Snapshot | None = None,
    earlier_rows: Sequence[int] = (),
) -> Audit:
    """Judge staged rows by their contract.

    Args:
        con: Takes the relations `staged`, `clean` and `published`.
        table: Staged rows of one window.
        name: `source/table`, for messages.
        window: Rows outside are set aside; None for a whole table.
        load_id: dlt's name of the load, kept with every row set aside.
        now: Judges freshness; a window is not expected to be fresher than its end.
        published: What the window holds so far, to notice corrections and new columns.
        earlier_rows: Numbers of rows of the windows published before this one, oldest first.

    Raises:
        SchemaChanged: A column has another type than declared.
        RuleDoesNotRun: A rule cannot be evaluated.
    """
    conformed = conform(table, spec.columns, name=name)
    rows, new_columns = settle_new_columns(conformed, spec, () if published is None else published.schema.names)
    rows = in_key_order(con, rows, spec)
    scanned = scan(con, spec, predicates(spec, window), name=name)
    broken = [*scanned.broken, *([python_broken(rows, spec.python, name=name)] if spec.python else [])]
    clean, quarantined = part(rows, broken, facts=_facts(load_id, window, now))
    attach_arrow(con, "clean", clean)
    if published is not None:
        attach(con, "published", published)
    about = About(name, min(window.end, now) if window else now, published is not None, earlier_rows, new_columns)
    findings = (*(Finding.of_broken(one, rows) for one in broken), *aggregate_findings(con, spec, scanned, about))
    blocked = any(finding.severity == "block" and not finding.passed for finding in findings)
    return Audit(clean, quarantined, findings, blocked)


def _facts(load_id: str, window: Window | None, now: datetime) -> dict[str, pa.Scalar]:
    import pyarrow as pa

    return {
        "load_id": pa.scalar(load_id, pa.string()),
        "window": pa.scalar(window.key if window else None, pa.string()),
        "quarantined_at": pa.scalar(now, pa.timestamp("us", "UTC")),
    }
