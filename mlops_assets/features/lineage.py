"""Which raw columns a view's columns are made of, read from its SQL: nothing runs.

Values are traced, the partition and order of a window among them; a column that only a `where`, a `group by` or a named
window mentions is not in the lineage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.contract.names import table_of
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlglot import exp
    from sqlglot.lineage import Node

COLOUR = re.compile(r"\x1b\[\d+m")


class NotTraceable(MlopsError):
    """A query uses something whose columns cannot be followed."""

    def __init__(self, found: str) -> None:
        super().__init__(
            "Lineage of a query",
            found=found,
            required="columns of the declared sources",
            remedy="Nothing to do for the data; write the query with plain selects to see its lineage.",
        )


@dataclass(frozen=True)
class Lineage:
    """What could be traced.

    Attributes:
        columns: By column of the view, the `(source/table, column)` pairs that its value is made of, in order.
        problem: Why the query could not be traced; None if it was.
    """

    columns: dict[str, list[tuple[str, str]]]
    problem: str | None = None


def trace(
    sql: str, *, columns: Sequence[str], sources: Mapping[str, str], declared: Mapping[str, Mapping[str, str]]
) -> Lineage:
    """Trace the columns of a view to those of its raw tables.

    Args:
        columns: Columns of the view.
        sources: `source/table` by the alias that the query uses.
        declared: Columns of each `source/table`, with their types.
    """
    schema = {alias: dict(declared[table_of(reference)]) for alias, reference in sources.items()}
    try:
        query = _parsed(sql)
        return Lineage({name: _origins(name, query, sources, schema) for name in columns})
    except Exception as error:  # noqa: BLE001  a parser of anybody's SQL may raise anything, and lineage is only shown
        found = error.found if isinstance(error, NotTraceable) else COLOUR.sub("", str(error))
        return Lineage({}, " ".join(found.split()) or type(error).__name__)


def _parsed(sql: str) -> exp.Expr:
    from sqlglot import exp, parse

    query = parse(sql, dialect="duckdb")[0]
    if query is None or any(union.args.get("by_name") for union in query.find_all(exp.SetOperation)):
        raise NotTraceable("`union by name`, whose columns are followed by position" if query else "no query")
    return query


def _origins(
    column: str, query: exp.Expr, sources: Mapping[str, str], schema: Mapping[str, Mapping[str, str]]
) -> list[tuple[str, str]]:
    from sqlglot.lineage import lineage

    leaves = _leaves(lineage(column, query.copy(), schema=dict(schema), dialect="duckdb"))
    return sorted({_origin(leaf, sources) for leaf in leaves})


def _leaves(root: Node) -> Iterator[Node]:
    """Yield the nodes that stand for a column of a table; a constant or a count has none."""
    from sqlglot import exp

    for node in root.walk():
        if not node.downstream and isinstance(node.source, exp.Table):
            yield node


def _origin(leaf: Node, sources: Mapping[str, str]) -> tuple[str, str]:
    alias = leaf.source.name
    if alias not in sources:
        raise NotTraceable(f"{leaf.name} comes from {leaf.source.sql('duckdb')}, which `sources` does not list")
    return table_of(sources[alias]), leaf.name.rpartition(".")[2].strip('"')
