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
    in_window,
    newest_facts,
    newest_version,
    predicate_of,
    snapshot,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import pyarrow as pa

    from mlops_assets.ingestion.load_state import Standing
    from mlops_assets.ingestion.part import Part, Table

RELEASED = "released"  # up to which version of the quarantine released rows have left it
OF_LOAD = ("failed_rules", "load_id", "quarantined_at")


def set_aside(con: duckdb.DuckDBPyConnection, part: Part, rows: pa.Table) -> int:
    """Put the rows of a part into quarantine, those that are not there yet; return how many these are."""
    put = 0

    def plan(version: int | None) -> Write | None:
        nonlocal put
        facts = {} if version is None else newest_facts(part.table.quarantine_uri, version)
        new = _not_there(con, part, rows, version) if part.table.is_cumulative and version is not None else rows
        put = new.num_rows
        if part.unit is None:
            return Write(new, schema_mode="overwrite", properties=facts)
        replaced = [part.unit, *_stale(part.table, part.before, version)]
        if part.table.is_cumulative and version is not None and not put and len(replaced) == 1:
            return None
        keyed = in_window(new, part.unit)
        return Write(keyed, predicate=predicate_of(replaced), partition_by=PARTITIONED, properties=facts)

    commit(part.table.quarantine_uri, plan)
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
    return int(newest_facts(uri, version).get(RELEASED, "-1")) < release["quarantine"]


def drop_unpublished(table: Table) -> None:
    """Take out what attempts set aside that were killed or overtaken: the load that was published has set it aside too."""
    now = table.standing()

    def plan(version: int | None) -> Write | None:
        if version is None or not (stale := _stale(table, now, version)):
            return None
        nothing = snapshot(table.quarantine_uri, version).schema.empty_table()
        facts = newest_facts(table.quarantine_uri, version)
        return Write(in_window(nothing, stale[0]), predicate=predicate_of(stale), properties=facts)

    commit(table.quarantine_uri, plan)


def _stale(table: Table, now: Standing, version: int | None) -> list[str]:
    """Return the units of attempts that came to nothing: their number belongs to another load by now."""
    if not table.is_cumulative or version is None:
        return []
    there = windows(table.quarantine_uri, version)
    return [unit for unit in there if int(unit.split()[0]) <= now.load and not is_settled(unit, now)]


def _not_there(con: duckdb.DuckDBPyConnection, part: Part, rows: pa.Table, version: int) -> pa.Table:
    """Return of equal rows as many as there are more than in quarantine: a load that looks back sees them again."""
    uri = part.table.quarantine_uri
    settled = [unit for unit in windows(uri, version) if is_settled(unit, part.before)]
    before = snapshot(uri, version, window=settled)
    require_same_types(uri, before.schema, rows.schema)
    attach(con, "settled", before)
    return surplus(con, rows, con.sql("from settled").to_arrow_table(), apart_from=OF_LOAD)
