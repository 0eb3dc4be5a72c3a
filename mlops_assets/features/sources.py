"""Raw tables under the aliases that a query uses, at versions that are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.lake import tables
from mlops_assets.lake.engine import attach
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb


def open_sources(
    con: duckdb.DuckDBPyConnection,
    lake: str,
    sources: Mapping[str, str],
    *,
    versions: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Attach each `source/table` under its alias.

    Args:
        sources: `source/table` by alias.
        versions: Version to read by `source/table`; the newest of those that are left out.

    Returns:
        The version read of each `source/table`.

    Raises:
        TableNotFound: A table, or that version of it, was never published.
    """
    wanted = versions or {}
    read: dict[str, int] = {}
    for alias, reference in sources.items():
        snapshot = tables.snapshot(join(lake, "raw", reference), read.get(reference, wanted.get(reference)))
        attach(con, alias, snapshot)
        read[reference] = snapshot.version
    return read
