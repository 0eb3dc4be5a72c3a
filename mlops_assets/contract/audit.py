"""Staged rows against their contract: which are clean, which are set aside and why, and what was found.

Add here: kinds of rules, each with its name in `checks.py`. Keep out: writing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.aggregates import aggregate_findings
from mlops_assets.contract.findings import Finding
from mlops_assets.contract.types import conform
from mlops_assets.errors import MlopsError
from mlops_assets.lake.engine import attach_arrow, connect, quoted

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import Severity, TableSpec
    from mlops_assets.lake.windows import Window

SAMPLE_ROWS = 5


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
        quarantined: Rows set aside, with `failed_rules`, `load_id` and `window`.
        findings: One per check, in the order of `check_names`.
        blocked: Whether a block rule failed, so that nothing may be published.
    """

    clean: pa.Table
    quarantined: pa.Table
    findings: tuple[Finding, ...]
    blocked: bool


def audit(
    table: pa.Table,
    spec: TableSpec,
    *,
    name: str,
    window: Window | None,
    load_id: str,
    now: datetime,
    published: pa.Table | None = None,
) -> Audit:
    """Judge staged rows by their contract.

    Args:
        table: Staged rows of one window.
        name: `source/table`, for messages.
        window: Rows outside are set aside; None for a whole table.
        load_id: dlt's name of the load, kept with every row set aside.
        now: Judges freshness; a window is not expected to be fresher than its end.
        published: Rows that the window holds so far, to notice corrections.

    Raises:
        SchemaChanged: A column has another type than declared.
        RuleDoesNotRun: DuckDB cannot evaluate a rule.
    """
    rows = conform(table, spec.columns, name=name)
    rules = _rules(spec, window)
    with connect() as con:
        attach_arrow(con, "staged", rows)
        _judge(con, rules, spec, rows.column_names, name)
        clean = con.sql(
            f"select {_list(rows.column_names)} from judged where not set_aside order by place"
        ).to_arrow_table()
        attach_arrow(con, "clean", clean)
        findings = (
            *_row_findings(con, rules, rows.column_names),
            *aggregate_findings(con, spec, end=min(window.end, now) if window else now, published=published),
        )
        quarantined = _quarantined(con, rows.column_names, load_id, window)
    return Audit(clean, quarantined, findings, any(f.severity == "block" and not f.passed for f in findings))


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
    """Make the table `judged`: staged rows with `failed_rules`, `set_aside` and their `place` in order of key."""
    import duckdb

    order = _list([*spec.key, *(column for column in columns if column not in spec.key)])
    twin = f"row_number() over (partition by {_list(spec.key)} order by {order})" if spec.key else "1"
    failed = ", ".join(f"case when ({rule.sql}) is not true then '{rule.name}' end" for rule in rules)
    strict = ", ".join(f"'{rule.name}'" for rule in rules if rule.severity != "warn")
    try:
        con.execute(f"""
            create table judged as
            select *, list_has_any(failed_rules, [{strict}]::varchar[]) as set_aside
            from (
                select *, list_filter([{failed}]::varchar[], lambda rule: rule is not null) as failed_rules
                from (select *, row_number() over (order by {order}) as place, {twin} as twin from staged)
            )""")
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
    broken = f"list_contains(failed_rules, '{rule.name}')"
    return (
        con.sql(f"select {_list(columns)} from judged where {broken} order by place limit {SAMPLE_ROWS}")
        .to_arrow_table()
        .to_pylist()
    )


def _quarantined(con: duckdb.DuckDBPyConnection, columns: list[str], load_id: str, window: Window | None) -> pa.Table:
    key = f"'{window.key}'" if window else "null::varchar"
    facts = f"failed_rules, '{load_id}' as load_id, {key} as \"window\""
    return con.sql(f"select {_list(columns)}, {facts} from judged where set_aside order by place").to_arrow_table()


def _list(columns: list[str]) -> str:
    return ", ".join(map(quoted, columns))
