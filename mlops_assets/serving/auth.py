"""Who may ask: the token of a request against the file of keys, which is read again when it changes."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mlops_assets.serving.http_problems import Forbidden, Unauthorized
from mlops_assets.serving.keys import Key, NoKeys, Scope, UnreadableKeys, key_of, read_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOOK_SECONDS = 0.5
BEARER = b"bearer "
log = logging.getLogger(__name__)


class Auth:
    """The keys of a server.

    Args:
        path: File of keys; None: everybody may ask.

    Raises:
        NoKeys: The file is missing.
        UnreadableKeys: It is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._look_at = path, 0.0
        self._stamp = _stamp(path) if path else None
        self._keys: tuple[Key, ...] = read_keys(path) if path else ()

    def check(self, headers: Mapping[bytes, bytes], scope: Scope) -> Key | None:
        """Return the key of a request; None where everybody may ask.

        Args:
            headers: By name in lower case.

        Raises:
            Unauthorized: There is no token, or nobody's.
            Forbidden: The key is for other routes.
        """
        if self._path is None:
            return None
        self._follow(self._path)
        token = _token(headers)
        key = key_of(self._keys, token) if token else None
        if key is None:
            raise Unauthorized(is_given=bool(token))
        if key.scope != scope:
            raise Forbidden(key.name, found=key.scope, required=scope)
        return key

    def _follow(self, path: Path) -> None:
        """Read the keys again if the file changed; keys that cannot be read any more stay as they were."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        stamp = _stamp(path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(path)
        except (NoKeys, UnreadableKeys) as error:
            log.error("%s The keys read before hold on.", error)  # noqa: TRY400  (the error says it all)


def _token(headers: Mapping[bytes, bytes]) -> bytes:
    given = headers.get(b"authorization")
    if given is not None and given[: len(BEARER)].lower() == BEARER:
        return given[len(BEARER) :].strip()
    return headers.get(b"x-api-key", b"")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
