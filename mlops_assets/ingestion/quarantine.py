"""Rows that a load sets aside: kept once, under the window or the load that they came with.

The rows of a window or of a replaced table take the place of those before. A table that only grows keeps them by load;
what an attempt set aside that was never published is dropped once another one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.ingestion.comparison import surplus
from mlops_assets.lake.commit import Write, commit, require_same_types
from mlops_assets.lake.engine import attach
from mlops_assets.lake.tables import (
    PARTITIONED,
    commit_properties,
    in_window,
    in_windows,
    newest_version,
    predicate_of,
    snapshot,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.ingestion.load_state import Standing
    from mlops_assets.ingestion.part import Part, Table

RELEASED = "released"  # up to which version of the quarantine released rows have left it
OF_LOAD = ("failed_rules", "load_id", "quarantined_at")


def set_aside(con: duckdb.DuckDBPyConnection, part: Part, rows: pa.Table) -> int:
    """Put the rows of a part into quarantine, those that are not there yet; return how many these are."""
    return set_all_aside(con, [(part, rows)])


def set_all_aside(con: duckdb.DuckDBPyConnection, parts: Sequence[tuple[Part, pa.Table]]) -> int:
    """Do so for several windows of one table, in one commit."""
    table, before, put = parts[0][0].table, parts[0][0].before, 0

    def plan(version: int | None) -> Write | None:
        nonlocal put
        is_more = table.is_cumulative and version is not None
        new = [(part.unit, _not_there(con, part, rows, version) if is_more else rows) for part, rows in parts]
        put = sum(rows.num_rows for _, rows in new)
        units = [unit for unit, _ in new if unit is not None]
        replaced = [*units, *_stale(table, before, version)] or None
        if version is not None and not put and not snapshot(table.quarantine_uri, version, window=replaced).files:
            return None
        facts = {} if version is None else commit_properties(table.quarantine_uri, version)
        if replaced is None:
            return Write(new[0][1], schema_mode="overwrite", properties=facts)
        rows = in_windows([(str(unit), rows) for unit, rows in new])
        return Write(rows, predicate=predicate_of(replaced), partition_by=PARTITIONED, properties=facts)

    commit(table.quarantine_uri, plan)
    return put


def is_settled(unit: str, now: Standing) -> bool:
    """Tell whether the load of a unit was published, rather than blocked, killed, overtaken or still under way."""
    number, _, load_id = unit.partition(" ")
    return int(number) < now.load or (int(number) == now.load and load_id == now.load_id)


def is_unfinished(uri: str, release: Mapping[str, Any] | None) -> bool:
    """Tell whether rows that were released are still in quarantine as well."""
    version = newest_version(uri)
    if release is None or version is None:
        return False
    return int(commit_properties(uri, version).get(RELEASED, "-1")) < release["quarantine"]


def drop_unpublished(table: Table) -> None:
    """Take out what attempts set aside that were killed or overtaken: the load that was published has set it aside too."""
    now = table.standing()

    def plan(version: int | None) -> Write | None:
        if version is None or not (stale := _stale(table, now, version)):
            return None
        nothing = snapshot(table.quarantine_uri, version).schema.empty_table()
        facts = commit_properties(table.quarantine_uri, version)
        return Write(in_window(nothing, stale[0]), predicate=predicate_of(stale), properties=facts)

    commit(table.quarantine_uri, plan)


def _stale(table: Table, now: Standing, version: int | None) -> list[str]:
    """Return the units of attempts that came to nothing: their number belongs to another load by now."""
    if not table.is_cumulative or version is None:
        return []
    there = windows(table.quarantine_uri, version)
    return [unit for unit in there if int(unit.split()[0]) <= now.load and not is_settled(unit, now)]


def _not_there(con: duckdb.DuckDBPyConnection, part: Part, rows: pa.Table, version: int | None) -> pa.Table:
    """Return of equal rows as many as there are more than in quarantine: a load that looks back sees them again."""
    uri = part.table.quarantine_uri
    assert version is not None  # or there is nothing to compare with
    settled = [unit for unit in windows(uri, version) if is_settled(unit, part.before)]
    before = snapshot(uri, version, window=settled)
    require_same_types(uri, before.schema, rows.schema)
    attach(con, "settled", before)
    return surplus(con, rows, con.sql("from settled").to_arrow_table(), apart_from=OF_LOAD)
