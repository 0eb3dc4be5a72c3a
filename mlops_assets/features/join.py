"""The point-in-time join: to each prediction, the newest feature row that could have been used at its time.

A row can be used from `max(known_at, event_timestamp)` on. Of the rows of one entity that can be used at `t`, the greatest
`(event_timestamp, known_at)` counts: so a row that arrives late about an older time never displaces a newer one, and a late
correction never reaches back before its arrival. It needs no range join: drop the rows that are not the greatest when they
arrive, then join as of the time of arrival.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.spec import FeatureViewSpec


class EntityMismatch(MlopsError):
    """The entity columns of the spine cannot be compared with those of a view."""

    def __init__(self, view: str, entity: Sequence[str], message: str) -> None:
        super().__init__(
            f"features/{view} joined on {', '.join(entity)}",
            found=message.strip(),
            required="columns of comparable types in the spine and the view",
            remedy="Cast the column in one of the two queries.",
        )


@dataclass(frozen=True)
class JoinedView:
    """A view to take features from.

    Attributes:
        relation: Name of its table on the connection; one row per (entity, event_timestamp, known_at).
        features: The columns to take.
    """

    spec: FeatureViewSpec
    relation: str
    features: tuple[str, ...]


def point_in_time_join(con: duckdb.DuckDBPyConnection, spine: pa.Table, views: Sequence[JoinedView]) -> pa.Table:
    """Return the spine with the features of the views, as they were known: same rows, same order.

    A feature is null where the entity is null or unknown, where nothing was known yet, and where the row is older than the
    view's ttl.

    Args:
        spine: Has `prediction_time` (UTC-aware) and the entity columns of every view.

    Raises:
        EntityMismatch: The types of an entity column differ too much to compare.
    """
    import duckdb

    joined = spine
    for view in views:
        entity = view.spec.entity
        con.register("__spine", _numbered(spine.select([*dict.fromkeys([*entity, "prediction_time"])])))
        try:
            found = con.sql(_query(view)).to_arrow_table()
        except (duckdb.BinderException, duckdb.ConversionException) as error:
            raise EntityMismatch(view.spec.name, entity, str(error)) from error
        finally:
            con.unregister("__spine")
        for name in view.features:
            joined = joined.append_column(name, found[name])
    return joined


def _numbered(table: pa.Table) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    return table.append_column("row of spine", pa.array(np.arange(table.num_rows)))


def _query(view: JoinedView) -> str:
    """Return the join of `__spine` with one view. Rows that no prediction can reach are left out before the sort.

    Names with a space are ours: no column of a person has one.
    """
    entity = [quoted(column) for column in view.spec.entity]
    features = [quoted(name) for name in view.features]
    ttl = _interval(view.spec.ttl_days)
    reachable = f"and event_timestamp >= (select min(prediction_time) from __spine) - {ttl}" if ttl else ""
    fresh = f"b.event_timestamp >= s.prediction_time - {ttl}" if ttl else "true"
    same = " and ".join(f"s.{column} = b.{column}" for column in entity)
    return f"""
        with usable as (
            select {", ".join(entity)}, event_timestamp, known_at, {", ".join(features)},
                   greatest(known_at, event_timestamp) as "usable at"
            from {quoted(view.relation)}
            where greatest(known_at, event_timestamp) <= (select max(prediction_time) from __spine) {reachable}
        ), best as (
            select * from usable
            window arrival as (
                partition by {", ".join(entity)} order by "usable at", event_timestamp, known_at
                rows between unbounded preceding and current row
            )
            qualify event_timestamp >= max(event_timestamp) over arrival
                and lead("usable at") over arrival is distinct from "usable at"
        )
        select {", ".join(f"case when {fresh} then b.{name} end as {name}" for name in features)}
        from __spine s asof left join best b on {same} and s.prediction_time >= b."usable at"
        order by s."row of spine"
    """


def _interval(days: float | None) -> str | None:
    return None if days is None else f"to_microseconds({timedelta(days=days) // timedelta(microseconds=1)})"
