"""Raw tables under the aliases that a query uses, at versions that are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.contract.known_at import NeverSaidWhenKnown, cut
from mlops_assets.contract.names import table_of
from mlops_assets.contract.published import attach_reference, cut_relation
from mlops_assets.lake.engine import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import duckdb

    from mlops_assets.contract.spec import KnownAtSpec


def open_sources(
    con: duckdb.DuckDBPyConnection,
    lake: str,
    sources: Mapping[str, str],
    *,
    versions: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Attach each raw table under its alias; all references to one table are read at the same version.

    Args:
        sources: `source/table`, or `source/table@current`, by alias.
        versions: Version to read, by reference; the newest of those that are left out.

    Returns:
        The version read, by reference.

    Raises:
        TableNotFound: A table, or that version of it, was never published.
        NoVersionsOfRows: `@current` of a table without history.
    """
    pinned = {table_of(reference): version for reference, version in (versions or {}).items()}
    for alias, reference in sources.items():
        table = table_of(reference)
        pinned[table] = attach_reference(con, alias, lake, reference, pinned.get(table))
    return {reference: pinned[table_of(reference)] for reference in sources.values()}


def cut_sources(
    con: duckdb.DuckDBPyConnection,
    sources: Mapping[str, str],
    known_at: Mapping[str, KnownAtSpec | None],
    *,
    at: datetime,
) -> None:
    """Make the opened sources show only what was known at `at`; `@current` is then the newest that was known.

    Args:
        known_at: When the cells of each `source/table` become known.

    Raises:
        NeverSaidWhenKnown: A source declares no `known_at`.
        KnownAtDoesNotBind: An expression does not compile, or gives no time.
    """
    for alias, reference in sources.items():
        table = table_of(reference)
        if known_at[table] is None:
            raise NeverSaidWhenKnown(table)
        relation = cut_relation(alias, reference)
        columns = [str(row[0]) for row in con.execute(f"describe {quoted(relation)}").fetchall()]
        cut(con, relation, columns, known_at[table], at=at)
