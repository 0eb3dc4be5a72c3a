"""Whole files in the lake: a reader sees the old bytes or the new ones, never a part.

Keep out: tables (`tables.py`) and objects that are swapped by generation (`state.py`).
"""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from mlops_assets.lake.uris import is_local, local_path, scheme

if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


def write_bytes(uri: str, data: bytes) -> None:
    """Write `data` at `uri` in one step that survives a crash; parent folders are made."""
    if not is_local(uri):
        _filesystem(uri).pipe_file(uri, data)  # an object store shows an object only when it is complete
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
    return local_path(uri).read_bytes() if is_local(uri) else _filesystem(uri).cat_file(uri)


def exists(uri: str) -> bool:
    """Tell whether a file is at `uri`."""
    return local_path(uri).is_file() if is_local(uri) else bool(_filesystem(uri).exists(uri))


def list_files(prefix: str) -> list[str]:
    """Return the URIs of all complete files in the folder `prefix` and below, sorted."""
    if is_local(prefix):
        found = [str(path) for path in local_path(prefix).rglob("*") if path.is_file()]
    else:
        found = [f"{scheme(prefix)}://{key}" for key in _filesystem(prefix).find(prefix)]
    return sorted(uri for uri in found if not uri.endswith(TEMPORARY_SUFFIX))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _filesystem(uri: str) -> Any:
    import fsspec

    return fsspec.filesystem(scheme(uri))
