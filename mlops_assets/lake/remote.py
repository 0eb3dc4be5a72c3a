"""Object stores through Arrow's own filesystems: credentials, region and endpoint come from the usual variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    from pyarrow.fs import FileSystem


def open_store(uri: str) -> tuple[FileSystem, str]:
    """Return the store of `uri`, and its path in there."""
    from pyarrow.fs import FileSystem

    kind, _, path = uri.partition("://")  # a path in the lake may hold what a URI must not
    store, _ = FileSystem.from_uri(f"{kind}://{path.partition('/')[0]}")
    return store, path


def register(con: duckdb.DuckDBPyConnection, uri: str) -> None:
    """Let a connection read the store of `uri`; DuckDB's own extension for it cannot be assumed."""
    from fsspec.implementations.arrow import ArrowFSWrapper

    store, _ = open_store(uri)
    if not con.filesystem_is_registered(store.type_name):
        con.register_filesystem(ArrowFSWrapper(store))
