"""The point-in-time join: to each prediction, the newest feature row that could have been used at its time.

A row can be used from `max(known_at, event_timestamp)` on. Of the rows of one entity that can be used at `t`, the greatest
`(event_timestamp, known_at)` counts: so a row that arrives late about an older time never displaces a newer one, and a late
correction never reaches back before its arrival.

Keep out: how an engine finds that row (`engine.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.engine import ROW, SPINE, engine_named
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.spec import FeatureViewSpec, JoinEngineName


class EntityMismatch(MlopsError):
    """The entity columns of the spine cannot be compared with those of a view."""

    def __init__(self, view: str, column: str, *, spine: str, found: str) -> None:
        super().__init__(
            f"features/{view} joined on {column}",
            found=f"{found} in the view and {spine} in the spine",
            required="columns of one kind: both text, both numbers or both times",
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


def point_in_time_join(
    con: duckdb.DuckDBPyConnection,
    spine: pa.Table,
    views: Sequence[JoinedView],
    *,
    engine: JoinEngineName = "duckdb",
) -> pa.Table:
    """Return the spine with the features of the views, as they were known: same rows, same order.

    A feature is null where the entity is null or unknown, where nothing was known yet, and where the row is older than the
    view's ttl. The answer is one and the same with any engine and any number of threads.

    Args:
        spine: Has `prediction_time` (UTC-aware) and the entity columns of every view.

    Raises:
        EntityMismatch: An entity column is of another kind in the spine than in a view.
    """
    find = engine_named(engine)
    joined = spine
    for view in views:
        _refuse_mismatch(con, spine, view)
        con.register(SPINE, _numbered(spine, view.spec.entity))
        try:
            found = con.sql(find.query(view)).to_arrow_table()
        finally:
            con.unregister(SPINE)
        joined = _beside(joined, found, view.features)
    return joined


def _numbered(spine: pa.Table, entity: Sequence[str]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    needed = spine.select(["prediction_time", *entity])
    return needed.append_column(ROW, pa.array(np.arange(spine.num_rows)))


def _beside(joined: pa.Table, found: pa.Table, features: Sequence[str]) -> pa.Table:
    """Add columns that came back in another order of rows: moving them is cheaper than having the engine sort."""
    import numpy as np
    import pyarrow as pa

    place = np.empty(found.num_rows, np.int64)
    place[found[ROW].to_numpy()] = np.arange(found.num_rows)
    for name in features:
        joined = joined.append_column(name, found[name].take(pa.array(place)))
    return joined


def _refuse_mismatch(con: duckdb.DuckDBPyConnection, spine: pa.Table, view: JoinedView) -> None:
    columns = ", ".join(map(quoted, view.spec.entity))
    found = con.sql(f"select {columns} from {quoted(view.relation)} limit 0").to_arrow_table().schema
    for name in view.spec.entity:
        kinds = {_kind(spine.schema.field(name).type), _kind(found.field(name).type)} - {"null"}
        if len(kinds) > 1:
            types = {"spine": str(spine.schema.field(name).type), "found": str(found.field(name).type)}
            raise EntityMismatch(view.spec.name, name, **types)


def _kind(kind: pa.DataType) -> str:
    """Return what a type can be compared with: nothing is ever read as another kind, such as text as a number."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text"
    if types.is_timestamp(kind) or types.is_date(kind):
        return "time"
    return str(kind)
