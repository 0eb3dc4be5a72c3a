"""A model's point-in-time query for a warehouse: the portable join over its tables, in that warehouse's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.features.dialects import Dialect, NotPortable, unknown, written
from mlops_assets.features.portable import Source, portable_query
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from mlops_assets.features.definition import VectorDefinition

SPINE = "spine__rows"  # no alias of a person is likely to be this


def warehouse_query(definition: VectorDefinition, dialect: Dialect, *, spine_table: str | None = None) -> str:
    """Return one query that gives a model's spine with its view features, as they were known.

    It reads `<source>.<table>` for the spine and `features.<view>` for the views: the lake's Delta tables under these names.

    Args:
        spine_table: Read the spine from this table in the warehouse rather than by the model's own query.

    Raises:
        NotPortable: The spine's query cannot be said in the dialect.
    """
    import sqlglot

    views = [Source(_table("features", v.spec.name), v.spec, definition.features_of(v)) for v in definition.views]
    *raw, spine = [_table(*spine_table.split("."))] if spine_table else _own_query(definition, dialect)
    columns, types = definition.spine_columns, definition.spine_types
    casts = ", ".join(f"cast({quoted(c)} as {types[c]}) as {quoted(c)}" if c in types else quoted(c) for c in columns)
    before = [*raw, f"{quoted(SPINE)} as (select {casts} from {spine})"]
    query = portable_query(quoted(SPINE), columns, views, before=before)
    return written(sqlglot.parse_one(query, read="duckdb"), dialect)


def _own_query(definition: VectorDefinition, dialect: Dialect) -> list[str]:
    """Return a CTE for each raw table, then the spine's query as a subquery."""
    import sqlglot

    query, sources = definition.spine_sql.strip().rstrip(";"), definition.spine.sources
    refused = [f"the source {reference}" for reference in sources.values() if "@" in reference]
    refused += unknown(sqlglot.parse_one(query, read="duckdb"))
    if refused:
        raise NotPortable(dialect, list(dict.fromkeys(refused)))
    raw = [f"{quoted(alias)} as (select * from {_table(*name.split('/'))})" for alias, name in sources.items()]
    return [*raw, f"({query}\n) as asked"]


def _table(*parts: str) -> str:
    return ".".join(map(quoted, parts))
