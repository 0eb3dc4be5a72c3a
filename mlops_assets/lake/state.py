"""Small objects that several processes change: each has a generation, and a change names the generation that it saw.

Add here: stores, and what any store can do. Keep out: what an object means; its owner keeps a `schema_version` inside.
"""

from __future__ import annotations

import fcntl
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mlops_assets.errors import MlopsError
from mlops_assets.lake.files import exists, list_files, read_bytes, write_bytes
from mlops_assets.lake.uris import is_local, join, local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

SCHEMA_VERSION = 1
SUFFIX = ".json"
ABSENT = 0
UPDATE_ATTEMPTS = 20
LONGEST_PAUSE_SECONDS = 0.1  # without a pause the writer that was first is first again


class StateConflict(MlopsError):
    """Somebody else changed the object first; it was left as they made it."""

    def __init__(self, key: str, *, found: int, required: int) -> None:
        self.generation = found
        super().__init__(
            f"State {key}",
            found=f"generation {found}",
            required=f"generation {required}",
            remedy="Read it again, decide again, and swap with the generation that you then read.",
        )


class UnreadableState(MlopsError):
    """An object was written by a newer release, or by hand."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(
            f"State {key}",
            found=detail,
            required=f"an object of schema_version {SCHEMA_VERSION}",
            remedy="Run the release that wrote it, or restore the file from a backup.",
        )


class NoLake(MlopsError):
    """The folder of the lake is not there: not mounted, misspelt, or nothing was ever stored."""

    def __init__(self, lake: str) -> None:
        super().__init__(
            "The lake",
            found=f"no folder {lake}",
            required="the lake of this deployment",
            remedy="Mount it, or correct MLOPS_LAKE or MLOPS_ENV; the first deployment makes it. A running server follows.",
        )


class StateStore(Protocol):
    """Objects by key, changed by compare-and-swap."""

    @property
    def root(self) -> str:
        """Return where they are."""
        ...

    def read(self, key: str) -> tuple[dict[str, Any], int] | None:
        """Return an object and its generation, or None."""
        ...

    def swap(self, key: str, value: dict[str, Any], *, generation: int) -> int:
        """Store `value` if the object is still at `generation` (0: absent) and return the new generation.

        Raises:
            StateConflict: It is at another generation.
        """
        ...

    def put_if_absent(self, key: str, value: dict[str, Any]) -> bool:
        """Store `value` unless the key is taken; tell whether it was stored."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that start with `prefix`, sorted."""
        ...


@dataclass(frozen=True)
class LocalState:
    """Objects as files below a folder; the kernel frees the lock of a process that dies."""

    root: str

    def read(self, key: str) -> tuple[dict[str, Any], int] | None:
        try:
            data = read_bytes(self._uri(key))
        except FileNotFoundError:
            return None
        return decoded(key, data)

    def swap(self, key: str, value: dict[str, Any], *, generation: int) -> int:
        with self._locked():
            held = self.read(key)
            found = held[1] if held else ABSENT
            if found != generation:
                raise StateConflict(key, found=found, required=generation)
            write_bytes(self._uri(key), encoded(value, found + 1))
            return found + 1

    def put_if_absent(self, key: str, value: dict[str, Any]) -> bool:
        if exists(self._uri(key)):
            return False
        try:
            self.swap(key, value, generation=ABSENT)
        except StateConflict:
            return False
        return True

    def keys(self, prefix: str) -> list[str]:
        folder = join(self.root, prefix.rpartition("/")[0]).rstrip("/")
        names = [uri.removeprefix(self.root.rstrip("/") + "/") for uri in list_files(folder)]
        keys = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
        return sorted(key for key in keys if key.startswith(prefix))

    def _uri(self, key: str) -> str:
        return join(self.root, key + SUFFIX)

    @contextmanager
    def _locked(self) -> Generator[None]:
        path = local_path(join(self.root, ".state.lock"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def update(
    state: StateStore, key: str, change: Callable[[dict[str, Any] | None], dict[str, Any]]
) -> tuple[dict[str, Any], int]:
    """Replace an object by what `change` makes of it (None: absent), again whenever another writer was first.

    Returns:
        The object and its generation; a change that changes nothing keeps the generation.

    Raises:
        StateConflict: Other writers were first every time.
    """
    for attempt in range(UPDATE_ATTEMPTS):
        value, generation = state.read(key) or (None, ABSENT)
        changed = json.loads(json.dumps(change(value)))  # as it will be read: a tuple is a list
        if changed == value:
            return changed, generation
        try:
            return changed, state.swap(key, changed, generation=generation)
        except StateConflict:
            if attempt == UPDATE_ATTEMPTS - 1:
                raise
            time.sleep(min(0.001 * 2**attempt, LONGEST_PAUSE_SECONDS))
    raise AssertionError  # the loop returns or raises


def require_lake(state: StateStore) -> None:
    """Tell a lake that is empty from one that is not there.

    Raises:
        NoLake: It is local, and there is no such folder.
    """
    if is_local(state.root) and not local_path(state.root).is_dir():
        raise NoLake(state.root)


def open_state(root_uri: str) -> StateStore:
    """Return the store below `root_uri`.

    Raises:
        UnsupportedPlace: There is no store for this kind of place.
        MissingBoto3: A library for S3 is not installed.
    """
    if is_local(root_uri):
        return LocalState(str(local_path(root_uri)))
    from mlops_assets.lake.state_s3 import S3State

    return S3State(root_uri)


def encoded(value: dict[str, Any], generation: int, **facts: str) -> bytes:
    """Return an object as it is stored; `facts` lie beside it, and no reader asks for them."""
    envelope = {"schema_version": SCHEMA_VERSION, "generation": generation, "value": value, **facts}
    return json.dumps(envelope, indent=1, sort_keys=True).encode()


def decoded(key: str, data: bytes) -> tuple[dict[str, Any], int]:
    """Return a stored object and its generation.

    Raises:
        UnreadableState: The bytes are no object of this release.
    """
    try:
        envelope = json.loads(data)
        version, value, generation = envelope["schema_version"], envelope["value"], envelope["generation"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableState(key, f"{len(data)} bytes that are no state object") from error
    if version != SCHEMA_VERSION:
        raise UnreadableState(key, f"schema_version {version}")
    return value, generation
