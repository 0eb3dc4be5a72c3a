"""What a refresh of a view must compute: the part that raw rows which are new since its last commit can change.

A view with `lookback_days` says that a row depends only on raw rows whose time lies within so many days of its
`event_timestamp`; a raw row's time is the `time_column` of its table. So if the earliest raw row that came, went or changed
is of time `t`, only rows from `t - lookback` on can differ, and the raw rows from `t - 2 x lookback` on are enough to
compute them. The claim is tested each time: the rows of one more lookback, which cannot have changed, are computed too and
must be those in the table. Whatever cannot be shown ends in a full refresh that says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from mlops_assets.errors import MlopsError
from mlops_assets.features.changes import ChangeUnknown, earliest_change
from mlops_assets.features.comparison import compare
from mlops_assets.features.compute import compute_view, key_of
from mlops_assets.features.stored import block_start
from mlops_assets.lake.commit import require_same_types
from mlops_assets.lake.engine import attach, attach_arrow, quoted

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.changes import RawTables
    from mlops_assets.features.definition import View
    from mlops_assets.features.spec import FeatureViewSpec
    from mlops_assets.features.stored import ViewFacts
    from mlops_assets.lake.tables import Snapshot

Mode = Literal["full", "incremental", "unchanged"]


class LookbackUnproven(MlopsError):
    """The rows that a shorter past gives are not those in the table, or there are none to compare."""

    def __init__(self, spec: FeatureViewSpec, *, found: str) -> None:
        super().__init__(
            f"features/{spec.name}, lookback_days {spec.lookback_days:g}",
            found=found,
            required="the rows that cannot have changed to come out as they are in the table",
            remedy="The view is computed whole. Raise `lookback_days` above the age of the oldest raw row that a row uses.",
        )


@dataclass(frozen=True)
class Scope:
    """What a refresh computes.

    Attributes:
        reason: Why it is no less.
        start: First `event_timestamp` of the part to compute; None unless the mode is `incremental`.
    """

    mode: Mode
    reason: str
    start: datetime | None = None


def scope_of(
    con: duckdb.DuckDBPyConnection, view: View, stored: ViewFacts | None, raw: RawTables, *, engine: str
) -> Scope:
    """Return what of a view to compute, given what its table says about itself.

    Args:
        engine: What would compute the rows.
    """
    lookback = view.spec.lookback_days
    if stored is None or lookback is None:
        return Scope("full", "no `lookback_days`" if stored else "the first refresh")
    if stored.definition != view.definition:
        return Scope("full", "the definition changed")
    if stored.engine != engine:
        return Scope("full", f"{stored.engine} computed the table, this is {engine}")
    try:
        earliest = earliest_change(con, raw, stored.sources)
    except ChangeUnknown as error:
        return Scope("full", str(error))
    if earliest is None:
        return Scope("unchanged", "no raw row changed")
    reason = f"raw rows from {earliest.isoformat()} on changed; lookback_days is {lookback:g}"
    return Scope("incremental", reason, block_start(earliest - timedelta(days=lookback)))


def rows_from(
    con: duckdb.DuckDBPyConnection, view: View, start: datetime, raw: RawTables, *, held: Snapshot
) -> pa.Table:
    """Return the rows of a view from `start` on, computed from the end of its attached sources, which stay cut.

    Args:
        held: The table of the view.

    Raises:
        LookbackUnproven: Rows that cannot have changed come out otherwise, or there are none.
        ColumnTypeChanged: A column has another type than in the table.
        MlopsError: See `compute_view`.
    """
    import pyarrow.compute as pc

    assert view.spec.lookback_days is not None  # nothing is incremental without
    lookback = timedelta(days=view.spec.lookback_days)
    for alias, reference in view.spec.sources.items():
        _keep_from(con, alias, raw.time_of(reference), start - 2 * lookback)
    table = compute_view(con, view.spec, view.sql, start=start - lookback)
    require_same_types(held.uri, held.schema, table.schema)
    unchanged = table.filter(pc.field("event_timestamp") < start)
    _require_same(con, view.spec, held, unchanged, start=start - lookback, end=start)
    return table.filter(pc.field("event_timestamp") >= start)


def _keep_from(con: duckdb.DuckDBPyConnection, alias: str, time: str | None, start: datetime) -> None:
    """Leave of an attached table the rows from `start` on; a table or a row without a time stays whole."""
    if time is not None:
        query = f"from {quoted(alias)} where ({quoted(time)}::timestamptz >= $start) is not false"
        attach_arrow(con, alias, con.sql(query, params={"start": start}).to_arrow_table())


def _require_same(
    con: duckdb.DuckDBPyConnection,
    spec: FeatureViewSpec,
    held: Snapshot,
    computed: pa.Table,
    *,
    start: datetime,
    end: datetime,
) -> None:
    attach(con, "held rows", held)
    query = 'from "held rows" where event_timestamp >= $start and event_timestamp < $end'
    rows = con.sql(query, params={"start": start, "end": end}).to_arrow_table()
    span = f"between {start.isoformat()} and {end.isoformat()}"
    if not rows.num_rows:
        raise LookbackUnproven(spec, found=f"no row {span} to compare")
    found = compare(con, rows, computed, keys=key_of(spec), names=list(spec.features))
    if found or rows.num_rows != computed.num_rows:
        names = ", ".join(one.column for one in found) or f"{computed.num_rows:,} rows instead of {rows.num_rows:,}"
        raise LookbackUnproven(spec, found=f"other values {span}: {names}")
