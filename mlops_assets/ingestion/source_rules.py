"""What the keys of a source must agree on with its tables, so that no row is lost or doubled.

Keep out: heavy imports; definitions load this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.ingestion.rest_spec import RestApiSource
from mlops_assets.ingestion.source_spec import FilesystemSource, SqlDatabaseSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.spec import IngestionSpec

MODIFIED = ""  # the cursor of files, which is no column


def disagreements(spec: IngestionSpec) -> Iterator[str]:
    """Yield what a source and its tables disagree on, each with its place in the file."""
    for name, table in spec.tables.items():
        cursor = _cursor(spec, name)
        if spec.partitions:
            yield from _partitioned(spec, name, spec.partitions.column, cursor)
            continue
        if isinstance(spec.source, FilesystemSource) and "%" in spec.source.tables[name].glob:
            yield f"source.tables.{name}.glob: `%` stands for the time of a window; add `partitions`, or remove it"
        if cursor is not None:
            yield from _incremental(spec, name, table, cursor)


def _cursor(spec: IngestionSpec, name: str) -> str | None:
    """Return the field that a table is read on from, `MODIFIED`, or None if it is read whole."""
    if isinstance(spec.source, RestApiSource):
        new = spec.source.tables[name].incremental
        return new.cursor if new else None
    if isinstance(spec.source, SqlDatabaseSource):
        return spec.source.tables[name].cursor
    if isinstance(spec.source, FilesystemSource) and spec.source.tables[name].only_new:
        return MODIFIED
    return None


def _partitioned(spec: IngestionSpec, name: str, column: str, cursor: str | None) -> Iterator[str]:
    place = f"source.tables.{name}"
    if isinstance(spec.source, RestApiSource):
        if cursor is None or _bare(cursor) != _bare(column):
            yield (
                f"{place}.incremental: with partitions it must ask by {column!r}, the partition column; "
                f"found {cursor or 'nothing'!r}"
            )
    elif cursor is not None:
        key = "only_new" if cursor == MODIFIED else "cursor"
        yield f"{place}.{key}: a window says which rows are read; remove it, or remove `partitions`"


def _incremental(spec: IngestionSpec, name: str, table: TableSpec, cursor: str) -> Iterator[str]:
    place = f"source.tables.{name}"
    if table.publish == "replace":
        yield f"tables.{name}.publish: only new rows are read, which cannot take the place of all; append, history or upsert"
    if table.publish == "append" and not table.key and (spec.lag_days or spec.reconcile.look_back_days):
        yield f"tables.{name}.key: `lag_days` and `look_back_days` read rows again; without a key they would be added again"
    if cursor == MODIFIED:
        return
    kinds = [kind for column, kind in table.columns.items() if _bare(column) == _bare(cursor)]
    if not kinds:
        yield f"{place}: the cursor {cursor!r} must be a declared column; found {', '.join(table.columns)}"
    elif spec.lag_days and not kinds[0].startswith(("TIMESTAMP", "DATE")):
        yield f"lag_days: the cursor of {name}, {cursor!r}, is a {kinds[0]}; required a date or timestamp to look back by days"


def _bare(name: str) -> str:
    """Return what `orderId` and `order_id` have in common."""
    return "".join(filter(str.isalnum, name)).lower()
