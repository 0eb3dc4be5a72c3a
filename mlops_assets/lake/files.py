"""Whole files in the lake: a reader sees the old bytes or the new ones, never a part.

Keep out: tables (`tables.py`) and objects that are swapped by generation (`state.py`).
"""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.lake import s3
from mlops_assets.lake.uris import is_local, join, local_path

if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


def write_bytes(uri: str, data: bytes) -> None:
    """Write `data` at `uri` in one step that survives a crash; parent folders are made."""
    if not is_local(uri):
        s3.put(uri, data)
        return
    path = local_path(uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=TEMPORARY_SUFFIX, delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    _sync_folder(path.parent)


def read_bytes(uri: str) -> bytes:
    """Return the bytes at `uri`.

    Raises:
        FileNotFoundError: Nothing is there.
    """
    if is_local(uri):
        return local_path(uri).read_bytes()
    if held := s3.get(uri):
        return held.data
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), uri)


def exists(uri: str) -> bool:
    """Tell whether a file is at `uri`."""
    if is_local(uri):
        return local_path(uri).is_file()
    return s3.exists(uri)


def remove(uri: str) -> None:
    """Remove a file, for good; one that is not there is no mistake. On this machine an empty folder goes with it."""
    if not is_local(uri):
        s3.remove(uri)
        return
    path = local_path(uri)
    path.unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty
        path.parent.rmdir()


def stat(uri: str) -> tuple[int, datetime]:
    """Return the size of a file in bytes, and when it was written; (0, 1970) if there is none."""
    if not is_local(uri):
        return s3.stat(uri)
    try:
        found = local_path(uri).stat()
    except FileNotFoundError:
        return 0, datetime.fromtimestamp(0, UTC)
    return found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)


def list_files(prefix: str) -> list[str]:
    """Return the URIs of all complete files in the folder `prefix` and below, sorted."""
    found = _local_files(prefix) if is_local(prefix) else s3.list_objects(join(prefix, ""))
    return sorted(uri for uri in found if not uri.endswith(TEMPORARY_SUFFIX))


def list_folders(prefix: str) -> list[str]:
    """Return the URIs of the folders directly in the folder `prefix`, sorted."""
    if is_local(prefix):
        folder = local_path(prefix)
        return sorted(str(path) for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return s3.list_folders(join(prefix, ""))


def _local_files(folder: str) -> list[str]:
    return [str(path) for path in local_path(folder).rglob("*") if path.is_file()]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
