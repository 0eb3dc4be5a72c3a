"""One SQLite file for each view, written beside the old one and swapped by one rename; readers map it as immutable.

Nobody ever writes to a file that readers see, so they take no locks, and remember what they have read. A reader looks at the
folder entry before each read; when there is a new file, it opens that and forgets the old one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.features.online.store import NotOnline, changed, decode_state, encode_state, require_revision

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from mlops_assets.features.online.store import Changes, StoredView

CREATE = """
    create table view (id integer primary key check (id = 0), state blob not null);
    create table online (key blob primary key, value blob not null) without rowid;
"""
ONE = "select value from online where key = ?"
MANY = "with wanted (place, key) as (values {}) select value from wanted left join online using (key) order by place"
LARGEST = 1024  # keys in one statement
REMEMBERED = 10_000  # rows of a view, each some 300 bytes: a row from memory costs a tenth of one from SQLite
LARGEST_FILE = 1 << 40  # SQLite maps as much of it as there is
SUFFIX, TEMPORARY = ".sqlite", ".tmp"


@dataclass(frozen=True)
class _Opened:
    """One version of a view's file; holding it open keeps its inode from being used again.

    Attributes:
        looked_at: The one time, by the monotonic clock, when it was last seen to be the newest.
        memory: Rows that were read, and keys without one.
    """

    identity: tuple[int, int]
    connection: sqlite3.Connection
    stored: StoredView
    looked_at: list[float]
    memory: dict[bytes, bytes | None] = field(default_factory=dict)


class SqliteStore:
    """Online rows in a folder of this machine.

    Args:
        look_every_s: How long a reader takes the file that it has for the newest one. Each look costs a fifth of a read.
    """

    def __init__(self, folder: Path, *, look_every_s: float = 0) -> None:
        self._folder, self._look_every_s = folder, look_every_s
        self._start = f"{folder}/"
        self._local = threading.local()

    def stored(self, view: str) -> StoredView | None:
        try:
            return self._open(view).stored
        except NotOnline:
            return None

    def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[StoredView, list[bytes | None]]]:
        return [self._read(view, keys) for view, keys in wanted]

    def write(self, view: str, changes: Changes, *, expected: int) -> None:
        with self._locked(view):
            require_revision(view, self.stored(view), expected)
            with self._replacing(view, copied=not changes.is_rebuild) as con:
                con.executemany("delete from online where key = ?", [(key,) for key in changes.gone])
                con.executemany("insert or replace into online values (?, ?)", sorted(changes.rows))
                con.execute("replace into view values (0, ?)", [encode_state(changes.stored)])

    def delete(self, view: str, keys: Sequence[bytes]) -> None:
        with self._locked(view):
            stored = self.stored(view)
            if stored is None:
                return
            with self._replacing(view, copied=True) as con:
                con.executemany("delete from online where key = ?", [(key,) for key in keys])
                con.execute(
                    "replace into view values (0, ?)", [encode_state(changed(stored, revision=stored.revision + 1))]
                )

    def _read(self, view: str, keys: Sequence[bytes]) -> tuple[StoredView, list[bytes | None]]:
        opened = self._open(view)
        if len(keys) > LARGEST:
            return opened.stored, _select(opened.connection, keys)
        memory = opened.memory
        if len(memory) > REMEMBERED:
            memory.clear()
        new = [key for key in keys if key not in memory]
        if new:
            memory.update(zip(new, _select(opened.connection, new), strict=True))
        return opened.stored, [memory[key] for key in keys]

    def _open(self, view: str) -> _Opened:
        """Return this thread's connection to the newest file of a view.

        Raises:
            NotOnline: There is none.
        """
        mine: dict[str, _Opened] = self._local.__dict__
        held, path, now = mine.get(view), self._path(view), time.monotonic()
        if held is not None and now < held.looked_at[0] + self._look_every_s:
            return held
        try:
            if held is not None and held.identity == _identity(path):
                held.looked_at[0] = now
                return held
            opened = mine[view] = _open_file(path, view)
        except FileNotFoundError as error:
            raise NotOnline(view) from error
        if held is not None:
            held.connection.close()
        return opened

    def _path(self, view: str) -> str:
        return self._start + view + SUFFIX

    @contextmanager
    def _locked(self, view: str) -> Generator[None]:
        """Be the only writer of a view, and clear away what a killed one left; the kernel frees the lock of the dead."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{view}.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            for left in self._folder.glob(f"{view}.*{TEMPORARY}"):
                left.unlink()
            yield

    @contextmanager
    def _replacing(self, view: str, *, copied: bool) -> Generator[sqlite3.Connection]:
        """Yield a new file, empty or a copy, that takes the place of the old one at the end."""
        descriptor, path = tempfile.mkstemp(prefix=f"{view}.", suffix=TEMPORARY, dir=self._folder)
        try:
            if copied:
                shutil.copyfile(self._path(view), path)
            with closing(sqlite3.connect(path, isolation_level=None)) as con:
                # Only the rename counts: a journal would protect a file that nobody sees yet.
                con.executescript("pragma journal_mode = off; pragma synchronous = off; pragma secure_delete = on")
                con.executescript(f"begin; {'' if copied else CREATE}")
                yield con
                con.execute("commit")
            os.fsync(descriptor)
            os.replace(path, self._path(view))
        except BaseException:
            Path(path).unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)


def _open_file(path: str, view: str) -> _Opened:
    """Open the file that `path` names now; again if it was replaced meanwhile."""
    while True:
        identity = _identity(path)
        con = sqlite3.connect(f"{Path(path).as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        con.execute(f"pragma mmap_size = {LARGEST_FILE}")
        ((state,),) = con.execute("select state from view").fetchall()
        if _identity(path) == identity:
            return _Opened(identity, con, decode_state(view, state), [time.monotonic()])
        con.close()


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116  on the way of every read, where a Path costs twice as much
    return status.st_ino, status.st_mtime_ns


def _select(con: sqlite3.Connection, keys: Sequence[bytes]) -> list[bytes | None]:
    if len(keys) == 1:
        row = con.execute(ONE, keys).fetchone()
        return [row[0] if row else None]
    found: list[bytes | None] = []
    for start in range(0, len(keys), LARGEST):
        part = keys[start : start + LARGEST]
        rows = con.execute(_many(_size(len(part))), _padded(part)).fetchall()
        found += [value for (value,) in rows[: len(part)]]
    return found


@cache
def _many(size: int) -> str:
    return MANY.format(", ".join(f"({place}, ?)" for place in range(size)))


def _padded(keys: Sequence[bytes]) -> list[bytes | None]:
    return [*keys, *[None] * (_size(len(keys)) - len(keys))]


def _size(count: int) -> int:
    """Return one of a few sizes of statement, so that they stay prepared."""
    return 1 << max(count - 1, 0).bit_length()
