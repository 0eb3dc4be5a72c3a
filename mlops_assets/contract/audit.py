"""Staged rows against their contract: which are clean, which are set aside and why, and what was found.

Add here: kinds of rules, each with its name in `checks.py`. Keep out: writing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.aggregates import aggregate_findings
from mlops_assets.contract.findings import SAMPLE_ROWS, Finding
from mlops_assets.contract.types import conform
from mlops_assets.errors import MlopsError
from mlops_assets.lake.engine import attach, attach_arrow, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.names import Severity
    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.lake.tables import Snapshot
    from mlops_assets.lake.windows import Window


class RuleDoesNotRun(MlopsError):
    """DuckDB cannot evaluate a rule of the contract."""

    def __init__(self, table: str, rule: str, sql: str, detail: str) -> None:
        super().__init__(
            f"{table}, rule {rule} ({sql})",
            found=" ".join(detail.split()),
            required="a DuckDB predicate over the declared columns",
            remedy="Nothing was published. Correct the rule in the Ingestion file.",
        )


@dataclass(frozen=True)
class Rule:
    """A predicate over one row, as the audit runs it."""

    name: str
    sql: str
    severity: Severity


@dataclass(frozen=True)
class Audit:
    """Rows sorted by what their contract says about them.

    Attributes:
        clean: Rows to publish, in order of key.
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
        con: Takes the relations `staged`, `judged`, `clean` and `published`.
        table: Staged rows of one window.
        name: `source/table`, for messages.
        window: Rows outside are set aside; None for a whole table.
        load_id: dlt's name of the load, kept with every row set aside.
        now: Judges freshness; a window is not expected to be fresher than its end.
        published: What the window holds so far, to notice corrections.
        earlier_rows: Numbers of rows of the windows published before this one, oldest first.

    Raises:
        SchemaChanged: A column has another type than declared.
        RuleDoesNotRun: DuckDB cannot evaluate a rule.
    """
    rows = conform(table, spec.columns, name=name)
    rules = _rules(spec, window)
    attach_arrow(con, "staged", rows)
    _judge(con, rules, spec, rows.column_names, name)
    clean = _select(con, rows.column_names, "where not set_aside")
    attach_arrow(con, "clean", clean)
    if published is not None:
        attach(con, "published", published)
    end = min(window.end, now) if window else now
    findings = (
        *_row_findings(con, rules, rows.column_names),
        *aggregate_findings(con, spec, end=end, has_published=published is not None, earlier_rows=earlier_rows),
    )
    return Audit(
        clean=clean,
        quarantined=_quarantined(con, rows.column_names, load_id, window, now),
        findings=findings,
        blocked=any(finding.severity == "block" and not finding.passed for finding in findings),
    )


def _rules(spec: TableSpec, window: Window | None) -> list[Rule]:
    rules = [Rule(rule.name, rule.sql, rule.severity) for rule in spec.rules]
    if spec.time_column is not None:
        instant = f"{quoted(spec.time_column)}::timestamptz"
        inside = (
            f"{instant} >= '{window.start.isoformat()}' and {instant} < '{window.end.isoformat()}'"
            if window
            else "true"
        )
        rules.append(Rule("in_window", inside, "quarantine"))
    if spec.key:
        rules.append(Rule("unique_key", "twin = 1", "quarantine"))
    return rules


def _judge(con: duckdb.DuckDBPyConnection, rules: list[Rule], spec: TableSpec, columns: list[str], name: str) -> None:
    """Make the table `judged`, in order of key: staged rows with `failed_rules` and `set_aside`."""
    import duckdb

    rest = [column for column in columns if column not in spec.key]
    twin = f"row_number() over (partition by {_list(spec.key)} order by {_list(rest or spec.key)})" if spec.key else "1"
    failed = ", ".join(f"case when ({rule.sql}) is not true then '{rule.name}' end" for rule in rules)
    strict = ", ".join(f"'{rule.name}'" for rule in rules if rule.severity != "warn")
    try:
        con.execute(f"""
            create or replace table judged as
            select *, list_has_any(failed_rules, [{strict}]::varchar[]) as set_aside
            from (
                select *, list_filter([{failed}]::varchar[], lambda rule: rule is not null) as failed_rules
                from (select *, {twin} as twin from staged)
            )
            order by {_list([*spec.key, *rest])}""")
    except duckdb.Error as error:
        raise _culprit(con, rules, name) or error from error


def _culprit(con: duckdb.DuckDBPyConnection, rules: list[Rule], name: str) -> RuleDoesNotRun | None:
    import duckdb

    for rule in rules:
        try:
            con.execute(
                f"select count(*) filter (where ({rule.sql}) is not true) from (select *, 1 as twin from staged)"
            )
        except duckdb.Error as error:
            return RuleDoesNotRun(name, rule.name, rule.sql, str(error))
    return None


def _row_findings(con: duckdb.DuckDBPyConnection, rules: list[Rule], columns: list[str]) -> list[Finding]:
    counts = [f"count(*) filter (where list_contains(failed_rules, '{rule.name}'))" for rule in rules]
    total, *failed = con.execute(f"select {', '.join(['count(*)', *counts])} from judged").fetchall()[0]
    return [
        Finding.of_rows(
            rule.name, rule.severity, failed=count, total=total, sample=_sample(con, rule, columns) if count else []
        )
        for rule, count in zip(rules, failed, strict=True)
    ]


def _sample(con: duckdb.DuckDBPyConnection, rule: Rule, columns: list[str]) -> list[dict[str, Any]]:
    return _select(con, columns, f"where list_contains(failed_rules, '{rule.name}')", limit=SAMPLE_ROWS).to_pylist()


def _quarantined(
    con: duckdb.DuckDBPyConnection, columns: list[str], load_id: str, window: Window | None, now: datetime
) -> pa.Table:
    import pyarrow as pa

    rows = _select(con, [*columns, "failed_rules"], "where set_aside")
    facts = {
        "load_id": pa.scalar(load_id, pa.string()),
        "window": pa.scalar(window.key if window else None, pa.string()),
        "quarantined_at": pa.scalar(now, pa.timestamp("us", "UTC")),
    }
    for name, value in facts.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    return rows


def _select(con: duckdb.DuckDBPyConnection, columns: list[str], where: str, *, limit: int | None = None) -> pa.Table:
    most = "" if limit is None else f" limit {limit}"
    return con.sql(f"select {_list(columns)} from judged {where} order by rowid{most}").to_arrow_table()


def _list(columns: list[str]) -> str:
    return ", ".join(map(quoted, columns))
