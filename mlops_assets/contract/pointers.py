"""What a raw table that is read in place points at: numbered objects in the lake, written once, never changed.

A pointer says which version of somebody else's table counts, which windows of it kept their contract, and how its rows are
seen. So its number is a version that can be read again, as long as the owner of the table keeps the files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import msgspec

from mlops_assets.decoding import converted
from mlops_assets.errors import MlopsError
from mlops_assets.lake.engine import connect, quoted
from mlops_assets.lake.files import list_files, read_bytes
from mlops_assets.lake.foreign import NoParquetFiles, Stamp, delta_snapshot, list_parquet, parquet_snapshot
from mlops_assets.lake.state import SUFFIX, decoded, open_state
from mlops_assets.lake.tables import exists
from mlops_assets.lake.uris import join
from mlops_assets.lake.windows import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from mlops_assets.lake.tables import Snapshot

FOLDER = "_external"
Format = Literal["delta", "parquet"]


class NoSuchPointer(MlopsError):
    """A version of a table that is read in place was asked for that was never published."""

    def __init__(self, reference: str, number: int) -> None:
        super().__init__(
            f"raw/{reference}",
            found=f"no pointer {number}",
            required="the number of a published one",
            remedy=f"Materialise `raw/{reference}`, then retry.",
        )


class FilesChanged(MlopsError):
    """Parquet files are no longer what they were when they were judged."""

    def __init__(self, reference: str, uri: str, number: int, changed: Sequence[str]) -> None:
        self.changed = changed
        super().__init__(
            f"raw/{reference}, version {number}",
            found=f"{uri} with {len(changed)} files changed or gone since then ({', '.join(changed[:3])})",
            required="the files that were judged, which nobody else keeps",
            remedy=f"Materialise `raw/{reference}` to judge them as they are now. What was built from the old ones cannot "
            "be built again; let their writer use Delta, or new file names, to keep the past.",
        )


class CopiedAndInPlace(MlopsError):
    """The lake holds a copy of a table that is now read in place, or the other way round."""

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"raw/{reference}",
            found="both a table in the lake and pointers to a table elsewhere",
            required="one of them, or version numbers would mean two things",
            remedy="Give the source or the table another name in its Ingestion file.",
        )


@dataclass(frozen=True)
class Pointer:
    """One version of a table that is read in place.

    Attributes:
        uri: Place of the table.
        delta_version: Version of a Delta table.
        files: The Parquet files, as they were seen.
        columns: DuckDB type of each column that is shown.
        keep: Predicate that leaves out rows which break a rule of severity quarantine; empty: all are shown.
        time_column: Column that tells the window of a row.
        windows: The windows that are shown, in order; None: the table has none.
    """

    uri: str
    format: Format
    columns: dict[str, str]
    delta_version: int | None = None
    files: tuple[Stamp, ...] = ()
    keep: str = ""
    time_column: str | None = None
    windows: tuple[Window, ...] | None = None

    @property
    def schema(self) -> pa.Schema:
        """The columns that are shown."""
        with connect() as con:
            nulls = ", ".join(f"null::{kind} as {quoted(name)}" for name, kind in self.columns.items())
            return con.sql(f"select {nulls}").to_arrow_table().schema

    def says_the_same(self, other: Pointer) -> bool:
        """Tell whether another pointer shows the same table by the same rules, perhaps other windows of it."""
        return replace(self, windows=None, columns={}) == replace(other, windows=None, columns={})

    def with_windows_of(self, other: Pointer) -> Pointer:
        """Return a pointer that also shows what another one does, which says the same."""
        if self.windows is None or other.windows is None:
            return self
        windows = sorted({*self.windows, *other.windows}, key=lambda one: one.start)
        return replace(self, windows=tuple(windows), columns={**self.columns, **other.columns})


def pointer_numbers(lake: str, reference: str) -> list[int]:
    """Return the numbers of a table's pointers, in order; none if it is not read in place."""
    found = list_files(join(lake, "raw", reference, FOLDER))
    return sorted(int(uri.rpartition("/")[2].removesuffix(SUFFIX)) for uri in found if uri.endswith(SUFFIX))


def read_pointer(lake: str, reference: str, number: int) -> Pointer:
    """Return a pointer.

    Raises:
        NoSuchPointer: It was never written.
    """
    key = _key(reference, number)
    try:
        value, _ = decoded(key, read_bytes(join(lake, key + SUFFIX)))
    except FileNotFoundError as error:
        raise NoSuchPointer(reference, number) from error
    return converted(value, Pointer)


def write_pointer(lake: str, reference: str, number: int, pointer: Pointer) -> bool:
    """Store a pointer unless its number is taken; tell whether it was stored.

    Raises:
        CopiedAndInPlace: The lake holds a copy of the table.
    """
    if exists(join(lake, "raw", reference)):
        raise CopiedAndInPlace(reference)
    return open_state(lake).put_if_absent(_key(reference, number), msgspec.to_builtins(pointer))


def pointed_at(reference: str, number: int, pointer: Pointer) -> Snapshot:
    """Return what a pointer shows, ready to be attached.

    Raises:
        TableNotFound: The owner of a Delta table has removed that version.
        FilesChanged: Parquet files are no longer what they were.
    """
    found = whole(reference, number, pointer)
    return replace(found, version=number, schema=pointer.schema, types=pointer.columns, where=_where(pointer))


def whole(reference: str, number: int, pointer: Pointer) -> Snapshot:
    """Return the table behind a pointer as its owner has it: all rows, all columns, in their own types.

    Raises:
        TableNotFound: The owner of a Delta table has removed that version.
        FilesChanged: Parquet files are no longer what they were.
    """
    if pointer.format == "delta":
        return delta_snapshot(pointer.uri, pointer.delta_version)
    try:
        now = {stamp.path: stamp for stamp in list_parquet(pointer.uri)}
    except NoParquetFiles:
        now = {}
    if changed := [stamp.path for stamp in pointer.files if now.get(stamp.path) != stamp]:
        raise FilesChanged(reference, pointer.uri, number, changed)
    return parquet_snapshot(pointer.uri, pointer.files)


def in_windows(column: str, windows: Sequence[Window]) -> str:
    """Return the predicate of the rows in some windows; windows that touch make one span."""
    spans: list[list[str]] = []
    for window in windows:
        start, end = window.start.isoformat(), window.end.isoformat()
        if spans and spans[-1][1] == start:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    time = f"{quoted(column)}::timestamptz"
    inside = [f"({time} >= timestamptz '{start}' and {time} < timestamptz '{end}')" for start, end in spans]
    return f"({' or '.join(inside) or 'false'})"


def _where(pointer: Pointer) -> str | None:
    parts = [pointer.keep] if pointer.keep else []
    if pointer.windows is not None and pointer.time_column is not None:
        parts.append(in_windows(pointer.time_column, pointer.windows))
    return " and ".join(parts) or None


def _key(reference: str, number: int) -> str:
    return join("raw", reference, FOLDER, str(number))
