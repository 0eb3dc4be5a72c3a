"""Checks of a staged table as a whole: its size, its nulls, its age, and whether it changes what was published."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from mlops_assets.contract.checks import compares_with_published, schema_severity
from mlops_assets.contract.findings import SAMPLE_ROWS, Finding
from mlops_assets.contract.scan import RuleDoesNotRun
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import duckdb

    from mlops_assets.contract.rules import NullShare, RowCount, TableCheck
    from mlops_assets.contract.scan import Scan
    from mlops_assets.contract.spec import TableSpec

FEWEST_WINDOWS = 2  # earlier windows without which there is no history to compare with
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class About:
    """What is known of the staged rows beside themselves.

    Attributes:
        name: `source/table`, for messages.
        end: When the newest row could be expected at the latest.
        has_published: Whether the relation `published` is there.
        earlier_rows: Numbers of rows of the windows published before, oldest first.
        new_columns: Type of each column that is neither declared nor published.
    """

    name: str
    end: datetime
    has_published: bool
    earlier_rows: Sequence[int]
    new_columns: Mapping[str, str]


def aggregate_findings(
    con: duckdb.DuckDBPyConnection, spec: TableSpec, scanned: Scan, about: About
) -> Iterator[Finding]:
    """Yield the findings about the relations `staged` and `clean`, and `published` if there is one.

    Raises:
        RuleDoesNotRun: A free check cannot be evaluated.
    """
    total = scanned.rows
    for check in spec.checks:
        yield _free(con, check, total, about.name)
    if spec.row_count is not None:
        yield _row_count(spec.row_count, total, about.earlier_rows)
    for limit in spec.null_share:
        yield _null_share(limit, scanned.nulls[limit.column], total)
    if spec.freshness_days is not None and spec.time_column is not None:
        yield _freshness(scanned, spec.freshness_days, about.end)
    if compares_with_published(spec):
        yield _no_corrections(con, spec, has_published=about.has_published)
    yield _schema_unchanged(spec, about.new_columns, total)


def _free(con: duckdb.DuckDBPyConnection, check: TableCheck, total: int, name: str) -> Finding:
    import duckdb

    required = "a DuckDB query over `staged` that gives one boolean"
    try:
        found = con.execute(check.sql).fetchall()
    except duckdb.Error as error:
        raise RuleDoesNotRun(name, check.name, check.sql, str(error), required) from error
    if len(found) != 1 or len(found[0]) != 1 or not isinstance(found[0][0], bool | None):
        raise RuleDoesNotRun(name, check.name, check.sql, f"{found[:SAMPLE_ROWS]}", required)
    passed = found[0][0]
    detail = f"{str(passed).lower() if passed is not None else 'null'}; required true: {check.sql}"
    return Finding.of_table(check.name, check.severity, passed=passed is True, total=total, detail=detail)


def _row_count(band: RowCount, total: int, earlier_rows: Sequence[int]) -> Finding:
    bands = [(float(band.min), math.inf if band.max is None else float(band.max), "")]
    if band.history is not None and len(earlier_rows) >= FEWEST_WINDOWS:
        counted, share = earlier_rows[-band.history.windows :], band.history.share
        usual = median(counted)
        why = f" (within {share:.0%} of {usual:,.0f}, the median of {len(counted)} windows)"
        bands.append((usual * (1 - share), usual * (1 + share), why))
    passed = all(least <= total <= most for least, most, _ in bands)
    required = " and ".join(f"{max(least, 0):,.0f} to {_most(most)}{why}" for least, most, why in bands)
    detail = f"{total:,} rows; required {required}"
    return Finding.of_table("row_count", band.severity, passed=passed, total=total, detail=detail)


def _most(most: float) -> str:
    return "any number" if math.isinf(most) else f"{most:,.0f}"


def _null_share(limit: NullShare, nulls: int, total: int) -> Finding:
    share = nulls / total if total else 0.0
    detail = f"{share:.4f} of {limit.column} is null; required at most {limit.max:g}"
    return Finding(limit.name, limit.severity, nulls, total, share <= limit.max, detail, [])


def _freshness(scanned: Scan, days: float, end: datetime) -> Finding:
    newest = scanned.newest
    passed = newest is not None and (end - newest).total_seconds() <= days * DAY_SECONDS
    found = "absent" if newest is None else newest.isoformat(sep=" ")
    detail = f"newest row {found}; required within {days:g} days of {end.isoformat()}"
    return Finding.of_table("freshness", "warn", passed=passed, total=scanned.rows, detail=detail)


def _no_corrections(con: duckdb.DuckDBPyConnection, spec: TableSpec, *, has_published: bool) -> Finding:
    """Look for published rows with another value now; a cell that is known later than its row may fill a null."""
    if not has_published:
        return Finding.of_rows("no_corrections", "warn", failed=0, total=0, sample=[])
    total = int(con.execute("select count(*) from published").fetchall()[0][0])
    clean = _columns(con, "clean")
    columns = [column for column in _columns(con, "published") if column in clean and column not in spec.key]
    late = spec.known_at.columns if spec.known_at else {}
    changed = " or ".join(_changed(quoted(column), may_fill=column in late) for column in columns)
    keys = ", ".join(map(quoted, spec.key))
    corrected = con.sql(f"""
        select p.* from published p join clean c using ({keys}) where {changed or "false"} order by {keys}
    """).to_arrow_table()
    sample = corrected.slice(0, SAMPLE_ROWS).to_pylist()
    return Finding.of_rows("no_corrections", "warn", failed=corrected.num_rows, total=total, sample=sample)


def _changed(column: str, *, may_fill: bool) -> str:
    was_there = f"p.{column} is not null and " if may_fill else ""
    return f"({was_there}p.{column} is distinct from c.{column})"


def _schema_unchanged(spec: TableSpec, new_columns: Mapping[str, str], total: int) -> Finding:
    named = ", ".join(f"{name} ({kind})" for name, kind in new_columns.items())
    effect = {"add": "published", "ignore": "left out", "refuse": "refused"}[spec.new_columns]
    detail = f"new columns, {effect}: {named}" if new_columns else "no new columns"
    severity = schema_severity(spec)
    return Finding.of_table("schema_unchanged", severity, passed=not new_columns, total=total, detail=detail)


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [str(row[0]) for row in con.execute(f"describe {relation}").fetchall()]
