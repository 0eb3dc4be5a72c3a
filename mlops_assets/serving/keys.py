"""API keys: a file of hashes. A token is shown once, when it is made; the file gives nobody access.

Keep out: requests (`auth.py`).
"""

from __future__ import annotations

import fcntl
import hmac
import secrets
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.lake.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

Scope = Literal["invoke", "admin"]
TOKEN_BYTES = 32
SCHEMA_VERSION = 1


class NoKeys(MlopsError):
    """There is no file of keys."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"API keys in {path}",
            found="no such file",
            required="a file made by `mlops keys create`",
            remedy=f"Run `mlops keys create NAME --file {path}`; a server without `--keys-file` lets everybody ask.",
        )


class UnreadableKeys(MlopsError):
    """What should be the file of keys is none, or cannot be read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"API keys in {path}",
            found=reason,
            required="a readable file made by `mlops keys create`",
            remedy=f"Restore it from a backup; or move it away and make new keys: `mlops keys create NAME --file {path}`.",
        )


class WrongKeyName(MlopsError):
    """A name that nobody could read in a list or in a log."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "API key",
            found=f"the name {name!r}",
            required="printable characters",
            remedy="Choose another name: who or what uses the key.",
        )


class KeyExists(MlopsError):
    """Two keys of one name could not be told apart."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(
            f"API key {name}",
            found=f"a key of that name in {path}",
            required="a new name",
            remedy=f"Choose another name, or revoke it first: `mlops keys revoke {name} --file {path}`.",
        )


class UnknownKey(MlopsError):
    """There is no key of that name."""

    def __init__(self, name: str, path: Path, known: Iterable[str]) -> None:
        super().__init__(
            f"API key {name}",
            found=f"no such key in {path}",
            required=f"one of {', '.join(known) or '(there is no key)'}",
            remedy=f"Correct the name; `mlops keys list --file {path}` shows them all.",
        )


class Key(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        sha256: Hex digest of the token.
        scope: `invoke`: scoring and feedback; `admin`: admin routes.
    """

    name: str
    scope: Scope
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    created_at: datetime


class Keys(msgspec.Struct, frozen=True):
    """The file."""

    keys: tuple[Key, ...] = ()
    schema_version: int = SCHEMA_VERSION


def key_of(keys: Iterable[Key], token: bytes) -> Key | None:
    """Return the key that a token is of; every key is compared, each in constant time."""
    digest, found = sha256(token).hexdigest(), None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


def read_keys(path: Path) -> tuple[Key, ...]:
    """Return the keys of a file.

    Raises:
        NoKeys: It is missing.
        UnreadableKeys: It is no file of keys, or not ours to read.
    """
    try:
        read = decoder(Keys).decode(path.read_bytes())
    except FileNotFoundError as error:
        raise NoKeys(path) from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UnreadableKeys(path, reason or str(error)) from error
    if read.schema_version != SCHEMA_VERSION:
        raise UnreadableKeys(path, f"schema_version {read.schema_version}")
    return read.keys


def create_key(path: Path, name: str, scope: Scope, *, now: datetime) -> str:
    """Add a key, and return its token, which stands nowhere else.

    Raises:
        WrongKeyName: The name is empty, or cannot be printed.
        KeyExists: It is taken.
        UnreadableKeys: The file is no file of keys.
    """
    if not name.strip() or not name.isprintable():
        raise WrongKeyName(name)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with _locked(path):
        keys = read_keys(path) if path.exists() else ()
        if any(key.name == name for key in keys):
            raise KeyExists(name, path)
        _write(path, (*keys, Key(name, scope, sha256(token.encode()).hexdigest(), now)))
    return token


def revoke_key(path: Path, name: str) -> None:
    """Remove a key; running servers refuse it within a second.

    Raises:
        NoKeys: There is no file of keys.
        UnreadableKeys: The file is none.
        UnknownKey: There is no key of that name.
    """
    read_keys(path)  # before a lock is made beside nothing
    with _locked(path):
        keys = read_keys(path)
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            raise UnknownKey(name, path, [key.name for key in keys])
        _write(path, left)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    """Write the file in one step, for its owner alone."""
    write_bytes(str(path), msgspec.json.format(msgspec.json.encode(Keys(keys)), indent=1))
