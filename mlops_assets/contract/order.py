"""Staged rows in an order that their arrival does not decide, so that the same rows are published the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.contract.predicates import identity_columns
from mlops_assets.lake.engine import attach_arrow, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec


def in_key_order(con: duckdb.DuckDBPyConnection, rows: pa.Table, spec: TableSpec) -> pa.Table:
    """Return the rows in order of key, those of one key in order of the other columns, and attach them as `staged`.

    Sorting costs several times what reading does: rows that come in order are left alone, and the other columns decide
    only where the key does not.
    """
    attach_arrow(con, "staged", rows)
    key = identity_columns(spec)
    rest = [column for column in rows.column_names if column not in key]
    for columns in (key, [*key, *rest]):
        if key and _is_ascending(con, key):
            break
        if columns:
            rows = con.sql(f"select * from staged order by {', '.join(map(quoted, columns))}").to_arrow_table()
            attach_arrow(con, "staged", rows)
    return rows


def _is_ascending(con: duckdb.DuckDBPyConnection, key: Sequence[str]) -> bool:
    """Tell whether each key is greater than the one before; the first row has none before, and a null is never greater."""
    columns = [quoted(column) for column in key]
    before = [f"b{number}" for number in range(len(key))]
    greater = " or ".join(
        " and ".join(
            [*(f"{b} = {c}" for b, c in zip(before[:n], columns[:n], strict=True)), f"{before[n]} < {columns[n]}"]
        )
        for n in range(len(key))
    )
    lagged = ", ".join(f"lag({column}) over () as {name}" for column, name in zip(columns, before, strict=True))
    steps = con.execute(f"""
        select count(*) filter (where ({greater}) is not true)
        from (select {", ".join(columns)}, {lagged} from staged)""").fetchall()[0][0]
    return int(steps) <= 1
