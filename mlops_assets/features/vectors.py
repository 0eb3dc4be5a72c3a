"""Feature vectors: the spine with its view and request features, the same way for training and for scoring."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features.compute import DEFINITION, SOURCES, view_uri
from mlops_assets.features.join import JoinedView, point_in_time_join
from mlops_assets.features.request import apply_request
from mlops_assets.features.sources import open_sources
from mlops_assets.features.spine import read_spine
from mlops_assets.lake import tables
from mlops_assets.lake.engine import attach, connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition, View
    from mlops_assets.lake.windows import Window

PART_ROWS = 2**20  # each part is joined on its own, which reads the views again


class StaleView(MlopsError):
    """The table of a view was computed by another definition than the one in its file."""

    def __init__(self, view: str, *, found: str | None, required: str) -> None:
        super().__init__(
            f"features/{view}",
            found=f"a table of definition {(found or 'unknown')[:12]}",
            required=f"definition {required[:12]}, as the file says now",
            remedy=f"Materialise `features/{view}`, then retry.",
        )


class ColumnTwice(MlopsError):
    """A feature has the name of another column of the vector."""

    def __init__(self, name: str, origin: str) -> None:
        super().__init__(
            f"{origin} {name}",
            found="another column of that name in the spine or among the features",
            required="names that differ within a model",
            remedy="Rename one of the two in its query or function.",
        )


@dataclass(frozen=True)
class Vectors:
    """The spine with its features.

    Attributes:
        features: Names of the feature columns, in the model's order: views first, then the request.
    """

    table: pa.Table
    features: tuple[str, ...]


@dataclass(frozen=True)
class OpenView:
    """A view's table on a connection, and where it came from.

    Attributes:
        sources: Version of each `source/table` that it was computed from.
    """

    joined: JoinedView
    definition: str
    version: int
    sources: dict[str, int]


def assemble(
    con: duckdb.DuckDBPyConnection, spine: pa.Table, definition: VectorDefinition, views: Sequence[JoinedView]
) -> Vectors:
    """Return the spine with the features of the views and of the request: same rows, same order.

    An output of the request function that repeats an input stands for that input's column.

    Raises:
        ColumnTwice: A feature has the name of another column.
        MlopsError: See `point_in_time_join` and `apply_request`.
    """
    taken = set(spine.column_names)
    for view in views:
        for name in view.features:
            if name in taken:
                raise ColumnTwice(name, f"features/{view.spec.name}, feature")
            taken.add(name)
    table = point_in_time_join(con, spine, views, engine=definition.spine.join)
    features = [reference.split(":")[1] for reference in definition.features]
    request = definition.request
    if request.function is None:
        return Vectors(table, (*features, *request.inputs))
    computed = apply_request(request.function, request.inputs, table)
    for name in computed.column_names:
        if name in request.inputs:
            continue
        if name in table.column_names:
            raise ColumnTwice(name, "request feature")
        table = table.append_column(name, computed[name])
    return Vectors(table, (*features, *computed.column_names))


def open_views(
    con: duckdb.DuckDBPyConnection,
    lake: str,
    definition: VectorDefinition,
    *,
    versions: Mapping[str, int] | None = None,
) -> list[OpenView]:
    """Attach the table of every view of a definition.

    Args:
        versions: Version to read, by view; the newest of those that are left out.

    Raises:
        TableNotFound: A view was never materialised, or not that version of it.
        StaleView: Its table was computed by another definition.
    """
    pinned = versions or {}
    return [_open_view(con, lake, definition, view, pinned.get(view.spec.name)) for view in definition.views]


def window_vectors(definition: VectorDefinition, *, lake: str, window: Window) -> pa.Table:
    """Return the vectors of one window, over the newest raw tables and views."""
    with connect() as con:
        open_sources(con, lake, definition.spine.sources)
        spine = read_spine(con, definition, column=definition.window_column, start=window.start, end=window.end)
        views = open_views(con, lake, definition)
        return assemble(con, spine, definition, [view.joined for view in views]).table


def window_vector_parts(definition: VectorDefinition, *, lake: str, window: Window) -> Iterator[pa.Table]:
    """Yield what `window_vectors` returns in parts of at most `PART_ROWS`, in order; at least one, maybe without rows.

    The spine is read at once, its features part by part: the vectors of a large window need not fit into memory.
    """
    with connect() as con:
        open_sources(con, lake, definition.spine.sources)
        spine = read_spine(con, definition, column=definition.window_column, start=window.start, end=window.end)
        views = [view.joined for view in open_views(con, lake, definition)]
        for start in range(0, max(1, spine.num_rows), PART_ROWS):
            yield assemble(con, spine.slice(start, PART_ROWS), definition, views).table


def _open_view(
    con: duckdb.DuckDBPyConnection, lake: str, definition: VectorDefinition, view: View, version: int | None
) -> OpenView:
    uri = view_uri(lake, view.spec.name)
    snapshot = tables.snapshot(uri, version)
    facts = tables.commit_properties(uri, snapshot.version)
    if facts.get(DEFINITION) != view.definition:
        raise StaleView(view.spec.name, found=facts.get(DEFINITION), required=view.definition)
    relation = relation_of(view)
    attach(con, relation, snapshot)
    joined = JoinedView(view.spec, relation, definition.features_of(view))
    return OpenView(joined, view.definition, snapshot.version, json.loads(facts[SOURCES]))


def relation_of(view: View) -> str:
    """Return the name under which a view's table is attached; no source alias can have it."""
    return f"features/{view.spec.name}"
