"""The newest usable row of each entity, and what changed of it between two versions of a view at two times.

The rule is that of `features/join.py`: a row is usable from `max(known_at, event_timestamp)` on, and of the usable rows the
greatest `(event_timestamp, known_at)` counts. What SQL calls equal is no change: 0.0 and -0.0, a NaN and another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.features.online.packing import EVENT_TIMESTAMP, USABLE_AT
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from mlops_assets.features.online.schema import Schema


@dataclass(frozen=True)
class Difference:
    """What a store must change.

    Attributes:
        changed: Newest rows that are not held yet: entity, times, features.
        gone: Entities that are held and have no row any more.
        entities: Entities that have a newest row.
    """

    changed: pa.Table
    gone: pa.Table
    entities: pa.Table


def difference(
    con: duckdb.DuckDBPyConnection, schema: Schema, *, new: tuple[str, int], old: tuple[str, int] | None
) -> Difference:
    """Return how the newest rows of one version at one time differ from those of another.

    Args:
        new: Relation, and the time in microseconds since 1970.
        old: The same for what is held already; None: nothing is.
    """
    entity = _entity(schema)
    for name, (relation, at) in {"__new": new, "__old": old or (new[0], None)}.items():
        con.execute(f"create or replace temp table {name} as {_newest(relation, schema, at)}")
    return Difference(
        changed=con.sql("from __new except from __old").to_arrow_table(),
        gone=con.sql(f"select {entity} from __old anti join __new using ({entity})").to_arrow_table(),
        entities=con.sql(f"select {entity} from __new").to_arrow_table(),
    )


def _newest(relation: str, schema: Schema, at: int | None) -> str:
    entity = _entity(schema)
    present = " and ".join(f"{quoted(name)} is not null" for name, _ in schema.entity)
    features = ", ".join(quoted(name) for name, _ in schema.features)
    usable = "false" if at is None else f"greatest(known_at, event_timestamp) <= make_timestamptz({at})"
    return f"""
        select {entity}, greatest(known_at, event_timestamp) as {quoted(USABLE_AT)}, {EVENT_TIMESTAMP}, {features}
        from {quoted(relation)}
        where {usable} and {present}
        qualify row_number() over (partition by {entity} order by {EVENT_TIMESTAMP} desc, known_at desc) = 1
    """


def _entity(schema: Schema) -> str:
    return ", ".join(quoted(name) for name, _ in schema.entity)
