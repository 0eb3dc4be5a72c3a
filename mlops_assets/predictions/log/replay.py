"""Served rows as the check on training-serving skew takes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.features.skew import AS_OF, check_skew
from mlops_assets.features.sources import open_sources
from mlops_assets.features.spine import read_spine
from mlops_assets.lake.engine import attach, attach_arrow, columns_of, connect, quoted
from mlops_assets.predictions.log.columns import RESERVED, column_of
from mlops_assets.predictions.log.table import log_uri, newest_day

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.features.skew import Skew
    from mlops_assets.lake.tables import Snapshot

EVENT, POSITION = "id of event", "row of request"  # no column of a request is called so


def check_served(
    lake: str, model: str, definition: VectorDefinition, *, now: datetime, samples: int, seed: int
) -> Skew | None:
    """Compute served rows again by the offline path, with their inputs and times as logged; None if there is none.

    Of the newest day, rows of its newest version that named every entity and got no fallback.

    Raises:
        MlopsError: See `check_skew`.
    """
    found = newest_day(log_uri(lake, model), now)
    sample = _sample(lake, found[1], definition, samples) if found else None
    if not sample:
        return None
    keyed = replace(definition, spine=definition.spine.model_copy(update={"keys": [EVENT, POSITION]}))
    return check_skew(sample, keyed, lake=lake, samples=samples, seed=seed)


def _sample(lake: str, day: Snapshot, definition: VectorDefinition, samples: int) -> pa.Table | None:
    """Return some rows, the same of the same log each time, their columns named and typed as the spine has them."""
    entities = [name for view in definition.views for name in view.spec.entity]
    with connect() as con:
        attach(con, "log", day)
        held = columns_of(con, "log")
        if not {column_of(name) for name in entities} <= set(held):
            return None
        types = _spine_types(con, lake, definition)
        columns = [_typed(name, types) for name in held if name == AS_OF or _original(name)]
        named = " and ".join(f"{quoted(column_of(name))} is not null" for name in entities) or "true"
        return con.sql(f"""
            select event_id as {quoted(EVENT)}, row as {quoted(POSITION)}, prediction_time, {", ".join(columns)} from log
            where role = 'answer' and feature_count > 0 and len(defaulted) = 0 and {named}
                and model_version = (select max(model_version) from log where role = 'answer')
            order by hash(event_id, row), event_id, row limit {samples:d}
        """).to_arrow_table()


def _original(column: str) -> str | None:
    """Return the name that a column had in requests and vectors; None of the log's own columns."""
    name = column.removeprefix("input_")
    if column_of(name) == column:
        return name
    return None if column in RESERVED else column


def _typed(column: str, types: dict[str, str]) -> str:
    name = _original(column) or column
    cell = f"try_cast({quoted(column)} as {types[name]})" if name in types else quoted(column)
    return f"{cell} as {quoted(name)}"


def _spine_types(con: duckdb.DuckDBPyConnection, lake: str, definition: VectorDefinition) -> dict[str, str]:
    """Return the types of keys, entities and inputs, as the spine has them."""
    from datetime import UTC, datetime

    from mlops_assets.features.spec import OUTCOME

    open_sources(con, lake, definition.spine.sources)
    epoch = datetime.fromtimestamp(0, UTC)
    attach_arrow(con, "no spine", read_spine(con, definition, column="prediction_time", start=epoch, end=epoch))
    described = con.execute('describe "no spine"').fetchall()
    return {str(name): str(kind) for name, kind, *_ in described if name not in OUTCOME}
