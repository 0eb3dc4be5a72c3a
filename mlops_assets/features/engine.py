"""The engines of the point-in-time join: each writes the query that finds, for every row of the spine, one row of a view.

`duckdb` needs no range join: it drops the rows that are not the greatest when they arrive, then joins as of the time of arrival.
`portable_sql` is the same rule in the SQL that every warehouse has (`portable.py`). A third engine is a class with `query` here
and a name in `spec.py`; the tests hold each to a loop over all rows.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from mlops_assets.features.portable import Source, portable_query
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from mlops_assets.features.join import JoinedView
    from mlops_assets.features.spec import JoinEngineName

# Names with a space are ours: no column of a person has one.
SPINE, ROW = "spine rows", "row of spine"


class Engine(Protocol):
    """A way to find the row that counts."""

    def query(self, view: JoinedView) -> str:
        """Return a DuckDB query over the tables `SPINE` and `view.relation`: `ROW` and the features, in any order.

        `SPINE` has `ROW`, `prediction_time` and the entity of the view. Every row of it comes out once.
        """
        ...


class AsOf:
    """A running maximum over the rows of the view, then DuckDB's as-of join."""

    def query(self, view: JoinedView) -> str:
        """Return the query. Rows that no prediction can reach are left out before the sort."""
        entity = [quoted(column) for column in view.spec.entity]
        features = [quoted(name) for name in view.features]
        ttl = _interval(view.spec.ttl_days)
        reachable = f"and event_timestamp >= (select min(prediction_time) from {quoted(SPINE)}) - {ttl}" if ttl else ""
        fresh = f"b.event_timestamp >= s.prediction_time - {ttl}" if ttl else "true"
        same = " and ".join(f"s.{column} = b.{column}" for column in entity)
        return f"""
            with usable as (
                select {", ".join(entity)}, event_timestamp, known_at, {", ".join(features)},
                       greatest(known_at, event_timestamp) as "usable at"
                from {quoted(view.relation)}
                where greatest(known_at, event_timestamp) <= (select max(prediction_time) from {quoted(SPINE)}) {reachable}
            ), best as (
                select * from usable
                window arrival as (
                    partition by {", ".join(entity)} order by "usable at", event_timestamp, known_at
                    rows between unbounded preceding and current row
                )
                qualify event_timestamp >= max(event_timestamp) over arrival
                    and lead("usable at") over arrival is distinct from "usable at"
            )
            select s.{quoted(ROW)}, {", ".join(f"case when {fresh} then b.{name} end as {name}" for name in features)}
            from {quoted(SPINE)} s asof left join best b on {same} and s.prediction_time >= b."usable at"
        """


class Portable:
    """The form for a warehouse, run here."""

    def query(self, view: JoinedView) -> str:
        """Return the query."""
        source = Source(quoted(view.relation), view.spec, view.features)
        return portable_query(quoted(SPINE), [ROW, "prediction_time", *view.spec.entity], [source])


ENGINES: dict[JoinEngineName, Engine] = {"duckdb": AsOf(), "portable_sql": Portable()}


def engine_named(name: JoinEngineName) -> Engine:
    """Return the engine that a model's `spine.join` names."""
    return ENGINES[name]


def _interval(days: float | None) -> str | None:
    return None if days is None else f"to_microseconds({timedelta(days=days) // timedelta(microseconds=1)})"
