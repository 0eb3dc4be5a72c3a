"""Which raw rows came, went or changed between two versions of a table: their earliest time.

Only files that one version has and the other has not are read, so files that maintenance has put together differ by no row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlops_assets.contract.names import is_current, table_of
from mlops_assets.contract.pointers import FilesChanged, NoSuchPointer
from mlops_assets.contract.published import FilesGone, resolve
from mlops_assets.errors import MlopsError
from mlops_assets.features.sources import open_sources
from mlops_assets.lake import tables
from mlops_assets.lake.engine import attach, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import duckdb

BEFORE, NOW = "rows before", "rows now"


class ChangeUnknown(MlopsError):
    """Nobody can say which times the changes of a raw table are about."""

    def __init__(self, reference: str, *, found: str, required: str) -> None:
        super().__init__(f"raw/{reference}", found=found, required=required, remedy="The view is computed whole.")


@dataclass(frozen=True)
class RawTables:
    """The raw tables that a view reads, as they are now.

    Attributes:
        versions: By reference.
        time_columns: The column that dates a row, by `source/table`; None or left out: nothing does.
    """

    lake: str
    versions: Mapping[str, int]
    time_columns: Mapping[str, str | None]

    def time_of(self, reference: str) -> str | None:
        """Return the column that dates the rows of a referenced table."""
        return self.time_columns.get(table_of(reference))


def earliest_change(con: duckdb.DuckDBPyConnection, raw: RawTables, before: Mapping[str, int]) -> datetime | None:
    """Return the earliest time of a raw row that differs from earlier versions; None if none does.

    Args:
        before: Versions of the same tables.

    Raises:
        ChangeUnknown: A table is new, has other columns, changed in rows without a time, or its version is gone.
    """
    found = [_earliest(con, raw, reference, before.get(reference)) for reference in raw.versions]
    return min((at for at in found if at is not None), default=None)


def _earliest(con: duckdb.DuckDBPyConnection, raw: RawTables, reference: str, before: int | None) -> datetime | None:
    import duckdb

    now, time = raw.versions[reference], raw.time_of(reference)
    if before == now:
        return None
    if before is None:
        raise ChangeUnknown(reference, found="no version at the last refresh", required="the same tables as then")
    try:
        _attach_both(con, raw.lake, reference, before, now)
        rows, undated, earliest = _differing(con, time)
    except (duckdb.IOException, tables.TableNotFound, FilesChanged, FilesGone, NoSuchPointer) as error:
        raise ChangeUnknown(reference, found=f"version {before} is gone", required="its files") from error
    if rows and (time is None or undated):
        found = f"{undated if time else rows:,} changed rows without a time"
        required = f"a value of `{time}`" if time else "a `time_column` in its Ingestion file"
        raise ChangeUnknown(reference, found=found, required=required)
    return earliest


def _attach_both(con: duckdb.DuckDBPyConnection, lake: str, reference: str, before: int, now: int) -> None:
    """Attach what may differ between two versions as `rows before` and `rows now`."""
    if is_current(reference):  # which row of a key is the newest: only the whole table tells
        for name, version in ((BEFORE, before), (NOW, now)):
            open_sources(con, lake, {name: reference}, versions={reference: version})
        return
    one, other = (resolve(lake, reference, version) for version in (before, now))
    if one.schema != other.schema:
        raise ChangeUnknown(reference, found="other columns than at the last refresh", required="the same columns")
    # Of a table that is read in place the same files may show more windows, or other rows.
    shared = set(one.files) & set(other.files) if one.where == other.where else set[str]()
    for name, held in ((BEFORE, one), (NOW, other)):
        attach(con, name, replace(held, files=tuple(file for file in held.files if file not in shared)))


def _differing(con: duckdb.DuckDBPyConnection, time: str | None) -> tuple[int, int, datetime | None]:
    """Return how many rows only one side has, how many of them have no time, and the earliest time."""
    at = f"{quoted(time)}::timestamptz" if time else "null::timestamptz"
    one, other = quoted(BEFORE), quoted(NOW)
    ((rows, dated, earliest),) = con.execute(f"""
        select count(*), count({at}), min({at}) from (
            (from {one} except all from {other}) union all (from {other} except all from {one})
        )
    """).fetchall()
    return rows, rows - dated, earliest
