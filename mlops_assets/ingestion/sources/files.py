"""Files in a folder or a bucket as dlt resources: Arrow, never rows of Python values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.sources.cursors import SECONDS_A_DAY
from mlops_assets.ingestion.sources.readers import read_file
from mlops_assets.lake.remote import open_store
from mlops_assets.lake.uris import is_local, join, local_path
from mlops_assets.settings import find_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlops_assets.ingestion.source_spec import FilesystemSource, FileTable
    from mlops_assets.ingestion.sources.reading import Reading


class NoFiles(MlopsError):
    """Nothing is where a table's files should be."""

    def __init__(self, table: str, url: str, globs: Sequence[str]) -> None:
        super().__init__(
            f"Files of {table}",
            found=f"none that match {', '.join(globs)} below {url}",
            required="at least one",
            remedy="Correct `glob` or `url`, wait for the file, or write `may_be_absent: true` if none means no rows.",
        )


def file_resources(source: FilesystemSource, reading: Reading) -> list[Any]:
    """Return a dlt resource for each table; nothing is listed yet."""
    return [_resource(name, source.tables[name], place(source.url), reading) for name in reading.tables]


def place(url: str) -> str:
    """Return the absolute place of a source's files; a relative one counts from the project's root."""
    return str(find_root(Path.cwd()) / local_path(url)) if is_local(url) else url


def _resource(name: str, table: FileTable, url: str, reading: Reading) -> Any:
    import dlt

    files = dlt.resource(_listed, name=f"{name}__files")(name, table, url, _globs(table.glob, reading))
    if table.only_new:
        lag = reading.lag_days * SECONDS_A_DAY or None
        new = dlt.sources.incremental("modification_date", primary_key=("file_url", "size_in_bytes"), lag=lag)
        files.apply_hints(incremental=new)

    def rows(items: list[Any]) -> Iterator[Any]:
        for item in items:
            yield from read_file(item, table, name, reading)

    return files | dlt.transformer(rows, name=name)


def _globs(pattern: str, reading: Reading) -> list[str]:
    """Return the pattern of each window, without its repetitions.

    >>> _globs("orders/*.csv", reading=None)
    ['orders/*.csv']
    """
    if "%" not in pattern:
        return [pattern]
    partitions, span = reading.spec.partitions, reading.window
    assert partitions is not None
    assert span is not None
    windows = [window for window in partitions.windows(until=span.end) if window.start >= span.start]
    return list(dict.fromkeys(window.start.strftime(pattern) for window in windows))


def _listed(name: str, table: FileTable, url: str, globs: Sequence[str]) -> Iterator[list[Any]]:
    from dlt.common.storages.fsspec_filesystem import FileItemDict, glob_files

    store = _store(url)
    found = [FileItemDict(file, store) for pattern in globs for file in glob_files(store, url, pattern)]
    if not found and not table.may_be_absent:
        raise NoFiles(name, url, globs)
    yield sorted(found, key=lambda file: file["file_url"])


def _store(url: str) -> Any:
    if is_local(url):
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem()
    from fsspec.implementations.arrow import ArrowFSWrapper

    class Store(ArrowFSWrapper):
        """Arrow's store with the time of a file under the name where dlt looks for it."""

        def _make_entry(self, info: Any) -> dict[str, Any]:
            entry = super()._make_entry(info)
            return {**entry, "LastModified": entry["mtime"], "updated": entry["mtime"]}

    return Store(open_store(join(url, "any"))[0])
