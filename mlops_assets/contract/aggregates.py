"""Checks of a staged table as a whole: its size, its nulls, its age, and whether it changes what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.contract.findings import Finding
from mlops_assets.contract.spec import NULL_SHARE_PREFIX
from mlops_assets.lake.engine import attach_arrow, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import NullShare, RowCount, TableSpec


def aggregate_findings(
    con: duckdb.DuckDBPyConnection, spec: TableSpec, *, end: datetime, published: pa.Table | None
) -> Iterator[Finding]:
    """Yield the findings about the relations `staged` and `clean`.

    Args:
        end: When the newest row could be expected at the latest.
        published: Rows that stand in the table so far.
    """
    total = int(con.execute("select count(*) from staged").fetchall()[0][0])
    if spec.row_count is not None:
        yield _row_count(spec.row_count, total)
    for share in spec.null_share:
        yield _null_share(con, share, total)
    if spec.freshness_days is not None and spec.time_column is not None:
        yield _freshness(con, spec.time_column, spec.freshness_days, end, total)
    if spec.key:
        yield _no_corrections(con, spec.key, published)


def _row_count(band: RowCount, total: int) -> Finding:
    passed = band.min <= total and (band.max is None or total <= band.max)
    most = "any number" if band.max is None else f"{band.max:,}"
    detail = f"{total:,} rows; required {band.min:,} to {most}"
    return Finding.of_table("row_count", band.severity, passed=passed, total=total, detail=detail)


def _null_share(con: duckdb.DuckDBPyConnection, limit: NullShare, total: int) -> Finding:
    present = int(con.execute(f"select count({quoted(limit.column)}) from staged").fetchall()[0][0])
    share = (total - present) / total if total else 0.0
    name = f"{NULL_SHARE_PREFIX}{limit.column}"
    detail = f"{share:.4f} of {limit.column} is null; required at most {limit.max:g}"
    return Finding(name, limit.severity, total - present, total, share <= limit.max, detail, [])


def _freshness(con: duckdb.DuckDBPyConnection, column: str, days: float, end: datetime, total: int) -> Finding:
    newest = f"max({quoted(column)})::timestamptz"
    bound = f"timestamptz '{end.isoformat()}' - interval '{days * 86400:.0f} seconds'"
    found, passed = con.execute(
        f"select {newest}::varchar, coalesce({newest} >= {bound}, false) from staged"
    ).fetchall()[0]
    detail = f"newest row {found or 'absent'}; required within {days:g} days of {end.isoformat()}"
    return Finding.of_table("freshness", "warn", passed=bool(passed), total=total, detail=detail)


def _no_corrections(con: duckdb.DuckDBPyConnection, key: list[str], published: pa.Table | None) -> Finding:
    if published is None or not published.num_rows:
        return Finding.of_rows("no_corrections", "warn", failed=0, total=0, sample=[])
    attach_arrow(con, "published", published)
    clean = {str(row[0]) for row in con.execute("describe clean").fetchall()}
    columns = ", ".join(quoted(name) for name in published.column_names if name in clean)
    keys = ", ".join(map(quoted, key))
    changed = con.sql(f"""
        select * from (select {columns} from published except select {columns} from clean) as earlier
        semi join clean using ({keys}) order by {keys}""").to_arrow_table()
    sample = changed.slice(0, 5).to_pylist()
    return Finding.of_rows("no_corrections", "warn", failed=changed.num_rows, total=published.num_rows, sample=sample)
