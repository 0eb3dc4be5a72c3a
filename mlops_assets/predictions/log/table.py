"""The tables of the log, published by day: `prediction_log/<model>` and `feedback/<model>`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.engine import attach, attach_arrow, connect, quoted
from mlops_assets.lake.tables import PARTITIONED, WINDOW_COLUMN, exists, predicate_of, snapshot, with_windows
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa

    from mlops_assets.lake.tables import Snapshot

CLOCK_SKEW = timedelta(hours=1)  # by which the clock of a server may be behind that of who asks
SEGMENTS = "segments"  # fact of a commit: the names of the segments that it took in


@dataclass(frozen=True)
class Added:
    """What came of rows that were to be added.

    Attributes:
        rows: Those that were new.
        version: Of the table afterwards.
    """

    rows: int
    version: int | None


def log_uri(lake: str, model: str) -> str:
    """Return where the prediction log of a model is."""
    return join(lake, "prediction_log", model)


def feedback_uri(lake: str, model: str) -> str:
    """Return where the feedback about a model is."""
    return join(lake, "feedback", model)


def day_of(t: datetime) -> str:
    """Return the window that a time belongs to: its day in UTC."""
    return t.astimezone(UTC).date().isoformat()


def days_since(uri: str, since: datetime | None, version: int | None = None) -> Snapshot:
    """Return the files of the days that may have rows of a server from `since` on; all without it."""
    whole, files = with_windows(uri, version)
    if since is None:
        return whole
    first = day_of(since - CLOCK_SKEW)
    return replace(whole, files=tuple(sorted(file for day, found in files.items() if day >= first for file in found)))


def newest_day(uri: str, now: datetime) -> tuple[str, Snapshot] | None:
    """Return the newest day that has rows; one that has not come yet is of a server whose clock was wrong, and hides no other."""
    whole, days = with_windows(uri) if exists(uri) else (None, {})
    past = [day for day in days if day <= day_of(now + CLOCK_SKEW)]
    return (max(past), replace(whole, files=days[max(past)])) if whole and past else None


def schema_of(uri: str) -> pa.Schema | None:
    """Return the columns of a table; None before its first commit."""
    return snapshot(uri).schema if exists(uri) else None


def add_new(uri: str, rows: pa.Table, *, time: str, key: Sequence[str], segments: Sequence[str]) -> Added:
    """Add the rows whose key the table does not have on the days that occur, in one commit; a concurrent twin adds none of them.

    Args:
        time: Column that says the day.
        key: Columns by which a row is known; of several equal ones the first counts.
        segments: What the commit says that it took in.
    """
    added = 0

    def plan(version: int | None) -> Write | None:
        nonlocal added
        new = _new_rows(uri, version, rows, time, key)
        added = new.num_rows
        facts = {SEGMENTS: json.dumps(list(segments))}
        return Write(new, adds=True, partition_by=PARTITIONED, properties=facts) if added else None

    version = commit(uri, plan)
    return Added(added, version)


def rows_before(uri: str, day: str, version: int | None = None) -> int:
    """Count the rows of the days before one."""
    if not exists(uri):
        return 0
    whole, days = with_windows(uri, version)
    old = sorted(file for one, files in days.items() if one < day for file in files)
    with connect() as con:
        attach(con, "old", replace(whole, files=tuple(old)))
        ((count,),) = con.execute("select count(*) from old").fetchall()
    return int(count)


def drop_days(uri: str, before: str) -> int:
    """Remove the days before one in one commit; return how many rows went."""
    dropped = 0

    def plan(version: int | None) -> Write | None:
        nonlocal dropped
        whole, days = with_windows(uri, version)
        old = [day for day in days if day < before]
        if not old:
            dropped = 0
            return None
        dropped = rows_before(uri, before, version)
        empty = whole.schema.append(_window_field()).empty_table()
        return Write(empty, predicate=predicate_of(old), partition_by=PARTITIONED)

    if exists(uri):
        commit(uri, plan)
    return dropped


def _new_rows(uri: str, version: int | None, rows: pa.Table, time: str, key: Sequence[str]) -> pa.Table:
    columns = ", ".join(map(quoted, key))
    same = " and ".join(f"n.{quoted(name)} is not distinct from h.{quoted(name)}" for name in key)
    with connect() as con:
        attach_arrow(con, "given", rows)
        day = f"strftime({quoted(time)}, '%Y-%m-%d')"
        con.execute(f"create temp table fresh as select distinct on ({columns}) *, {day} as {WINDOW_COLUMN} from given")
        if version is not None:
            days = {name for (name,) in con.execute(f"select distinct {WINDOW_COLUMN} from fresh").fetchall()}
            attach(con, "held", snapshot(uri, version, window=days))
            # The few new rows are hashed, and the many old ones stream by.
            con.execute(
                f"create temp table seen as select distinct {columns} from held h "
                f"where exists (select 1 from fresh n where {same})"
            )
            con.execute(f"delete from fresh n where exists (select 1 from seen h where {same})")
        return con.sql(f"from fresh order by {quoted(time)}, {columns}").to_arrow_table()


def _window_field() -> pa.Field[pa.DataType]:
    import pyarrow as pa

    return pa.field(WINDOW_COLUMN, pa.string())
