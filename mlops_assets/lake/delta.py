"""Opening a Delta table, or saying why it cannot be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.lake.uris import is_local, local_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltalake import DeltaTable

HANDLED_FEATURES = frozenset({"timestampNtz", "appendOnly", "invariants"})


class TableNotFound(MlopsError):
    """No table, or not that version of it."""

    def __init__(self, uri: str, *, version: int | None, detail: str) -> None:
        wanted = "" if version is None else f" at version {version}"
        super().__init__(
            uri,
            found=detail,
            required=f"a Delta table{wanted}",
            remedy="Materialise the asset that writes it, then retry.",
        )


class UnhandledFeature(MlopsError):
    """Reading the file list would give wrong rows for this table."""

    def __init__(self, uri: str, features: Sequence[str]) -> None:
        super().__init__(
            uri,
            found=f"Delta features {', '.join(features)}",
            required="none that a list of Parquet files cannot express",
            remedy="Let its writer publish without them, or copy the table through an Ingestion.",
        )


def open_table(uri: str, version: int | None = None) -> DeltaTable:
    """Return the newest version of a table, or `version`.

    Raises:
        TableNotFound: No such table or version.
        UnhandledFeature: The table uses a Delta feature that a list of files cannot express.
    """
    table = opened(uri, version)
    protocol = table.protocol()
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    if unhandled := sorted(features - HANDLED_FEATURES):
        raise UnhandledFeature(uri, unhandled)
    return table


def opened(uri: str, version: int | None = None) -> DeltaTable:
    """Return the newest version of a table, or `version`, whatever its features.

    Raises:
        TableNotFound: No such table or version.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError
    from deltalake.exceptions import TableNotFoundError as Absent

    try:
        return DeltaTable(place(uri), version=version)
    except Absent as error:
        raise TableNotFound(uri, version=version, detail="no table") from error
    except DeltaError as error:
        raise TableNotFound(uri, version=version, detail=str(error).splitlines()[0]) from error


def place(uri: str) -> str:
    """Return a URI as Delta wants it."""
    return str(local_path(uri)) if is_local(uri) else uri


def history(uri: str) -> list[tuple[int, datetime]]:
    """Return the versions of a table with the times of their commits, newest first.

    Raises:
        TableNotFound: No table.
    """
    commits = open_table(uri).history()
    return [(one["version"], datetime.fromtimestamp(one["timestamp"] / 1000, UTC)) for one in commits]
