"""Raw tables by reference: which version of which table, and how its rows are seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlops_assets.contract.names import HISTORY_COLUMNS, is_current, table_of
from mlops_assets.contract.pointers import CopiedAndInPlace, pointed_at, pointer_numbers, read_pointer
from mlops_assets.errors import MlopsError
from mlops_assets.lake import tables
from mlops_assets.lake.engine import attach, attach_query, quoted
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    import duckdb

    from mlops_assets.lake.tables import Snapshot

KEY = "key"  # the fact of a commit that names the columns of a row's key
RECORDED_AT, REVISION, IS_DELETED = HISTORY_COLUMNS


class NoVersionsOfRows(MlopsError):
    """The newest version of each row was asked for of a table that keeps only one, or that does not say what a row is."""

    def __init__(self, reference: str, version: int, *, found: str) -> None:
        super().__init__(
            f"raw/{reference}, version {version}",
            found=found,
            required=f"the columns {', '.join(HISTORY_COLUMNS)} and the key, as `publish: history` writes them",
            remedy=f"Refer to `{table_of(reference)}`, or let its Ingestion file say `publish: history` and load it again.",
        )


class FilesGone(MlopsError):
    """A version of a table is known, and files that it needs are no longer there."""

    def __init__(self, reference: str, version: int, detail: str) -> None:
        super().__init__(
            f"raw/{reference}, version {version}",
            found=" ".join(detail.split()),
            required="every file of that version",
            remedy=f"Materialise `raw/{table_of(reference)}`. Its owner has cleaned up: what was built from the old version "
            "cannot be built again.",
        )


def resolve(lake: str, reference: str, version: int | None = None) -> Snapshot:
    """Return the newest version of the raw table behind a reference, or `version`; it may be a table elsewhere.

    Raises:
        TableNotFound: It was never published, or not that version of it.
        NoSuchPointer: It is read in place, and was never published under that version.
        FilesChanged: It is read in place, and its Parquet files are no longer what they were.
        CopiedAndInPlace: The lake holds a copy of it as well.
    """
    table = table_of(reference)
    numbers = pointer_numbers(lake, table)
    if not numbers:
        return tables.snapshot(join(lake, "raw", table), version)
    if tables.exists(join(lake, "raw", table)):
        raise CopiedAndInPlace(table)
    number = numbers[-1] if version is None else version
    return pointed_at(table, number, read_pointer(lake, table, number))


def attach_reference(
    con: duckdb.DuckDBPyConnection, alias: str, lake: str, reference: str, version: int | None = None
) -> int:
    """Make the view `alias` over a raw table, of `@current` over the newest version of each row; return the version read.

    Raises:
        TableNotFound: It was never published, or not that version of it.
        NoVersionsOfRows: `@current` of a table without history.
        FilesGone: Files of that version are no longer there.
        MlopsError: See `resolve`.
    """
    import duckdb

    snapshot = resolve(lake, reference, version)
    relation = cut_relation(alias, reference)
    try:
        attach(con, relation, snapshot)
    except duckdb.IOException as error:
        raise FilesGone(reference, snapshot.version, str(error)) from error
    if is_current(reference):
        attach_query(con, alias, _newest(relation, _key(reference, snapshot)))
    return snapshot.version


def cut_relation(alias: str, reference: str) -> str:
    """Return the relation that must be cut for `alias` to show the past: of `@current`, all versions of the rows."""
    return f"{alias}@versions" if is_current(reference) else alias


def _newest(relation: str, key: list[str]) -> str:
    hidden = ", ".join(HISTORY_COLUMNS)
    newest_first = f"order by {RECORDED_AT} desc, {REVISION} desc"
    return f"""
        select * exclude ({hidden}) from {quoted(relation)}
        qualify row_number() over (partition by {", ".join(map(quoted, key))} {newest_first}) = 1 and not {IS_DELETED}"""


def _key(reference: str, snapshot: Snapshot) -> list[str]:
    if missing := [column for column in HISTORY_COLUMNS if column not in snapshot.schema.names]:
        raise NoVersionsOfRows(reference, snapshot.version, found=f"no column {', '.join(missing)}")
    key = json.loads(tables.commit_properties(snapshot.uri, snapshot.version).get(KEY, "null"))
    if not key:
        raise NoVersionsOfRows(reference, snapshot.version, found="a commit that does not name the key")
    return key
