"""Checks of a staged table as a whole: its size, its nulls, its age, and whether it changes what was published."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from mlops_assets.contract.findings import SAMPLE_ROWS, Finding
from mlops_assets.contract.names import NULL_SHARE_PREFIX
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import duckdb

    from mlops_assets.contract.rules import NullShare, RowCount
    from mlops_assets.contract.spec import TableSpec

FEWEST_WINDOWS = 2  # earlier windows without which there is no history to compare with


def aggregate_findings(
    con: duckdb.DuckDBPyConnection, spec: TableSpec, *, end: datetime, has_published: bool, earlier_rows: Sequence[int]
) -> Iterator[Finding]:
    """Yield the findings about the relations `staged` and `clean`, and `published` if there is one.

    Args:
        end: When the newest row could be expected at the latest.
        has_published: Whether the window was published before.
        earlier_rows: Numbers of rows of the windows published before, oldest first.
    """
    total = _scalar(con, "select count(*) from staged")
    if spec.row_count is not None:
        yield _row_count(spec.row_count, total, earlier_rows)
    for share in spec.null_share:
        yield _null_share(con, share, total)
    if spec.freshness_days is not None and spec.time_column is not None:
        yield _freshness(con, spec.time_column, spec.freshness_days, end, total)
    if spec.key:
        yield _no_corrections(con, spec.key, has_published=has_published)


def _row_count(band: RowCount, total: int, earlier_rows: Sequence[int]) -> Finding:
    bands = [(float(band.min), math.inf if band.max is None else float(band.max), "")]
    if band.history is not None and len(earlier_rows) >= FEWEST_WINDOWS:
        counted = earlier_rows[-band.history.windows :]
        usual, width = median(counted), band.history.share
        bands.append(
            (usual * (1 - width), usual * (1 + width), f" (within {width:.0%} of the median of {len(counted)} windows)")
        )
    passed = all(least <= total <= most for least, most, _ in bands)
    required = " and ".join(f"{least:,.0f} to {_most(most)}{why}" for least, most, why in bands)
    return Finding.of_table(
        "row_count", band.severity, passed=passed, total=total, detail=f"{total:,} rows; required {required}"
    )


def _most(most: float) -> str:
    return "any number" if math.isinf(most) else f"{most:,.0f}"


def _null_share(con: duckdb.DuckDBPyConnection, limit: NullShare, total: int) -> Finding:
    present = _scalar(con, f"select count({quoted(limit.column)}) from staged")
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


def _no_corrections(con: duckdb.DuckDBPyConnection, key: list[str], *, has_published: bool) -> Finding:
    if not has_published:
        return Finding.of_rows("no_corrections", "warn", failed=0, total=0, sample=[])
    total = _scalar(con, "select count(*) from published")
    clean = _columns(con, "clean")
    columns = ", ".join(quoted(column) for column in _columns(con, "published") if column in clean)
    keys = ", ".join(map(quoted, key))
    changed = con.sql(f"""
        select * from (select {columns} from published except select {columns} from clean) as earlier
        semi join clean using ({keys}) order by {keys}""").to_arrow_table()
    sample = changed.slice(0, SAMPLE_ROWS).to_pylist()
    return Finding.of_rows("no_corrections", "warn", failed=changed.num_rows, total=total, sample=sample)


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    return [str(row[0]) for row in con.execute(f"describe {relation}").fetchall()]


def _scalar(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0])
