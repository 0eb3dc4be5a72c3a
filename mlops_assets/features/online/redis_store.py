"""Online rows in Redis: one MGET fetches the states of all views of a request together with its rows.

The state of a view names the generation that its rows are kept under. A rebuild fills a new generation and then changes the
state; an increment is one transaction. Either way a reader sees the old rows or the new ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.features.online.store import (
    NotOnline,
    OnlineConflict,
    UnsettledRead,
    changed,
    decode_state,
    encode_state,
    in_parts,
    require_revision,
    until_first,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mlops_assets.features.online.store import Changes, StoredView

ATTEMPTS = 20
BATCH = 1_000  # keys in one command


@dataclass(frozen=True)
class _Known:
    """A view as this process saw it last; `rows` stands before the key of each row."""

    state_key: bytes
    raw: bytes
    stored: StoredView
    rows: bytes


class RedisStore:
    """Online rows in a Redis database that keeps what it is given (`maxmemory-policy noeviction`).

    Args:
        client: A `redis.Redis` that returns bytes.
        prefix: Stands before every key.
    """

    def __init__(self, client: Any, *, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._known: dict[str, _Known] = {}

    def stored(self, view: str) -> StoredView | None:
        raw = self._client.get(self._key(view, "state"))
        return decode_state(view, raw) if raw else None

    def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[StoredView, list[bytes | None]]]:
        for _ in range(ATTEMPTS):
            known = self._views([view for view, _ in wanted])
            names = [view.state_key for view in known]
            for view, (_, keys) in zip(known, wanted, strict=True):
                names += [view.rows + key for key in keys]
            found = self._client.mget(names)
            if [view.raw for view in known] == found[: len(known)]:
                return list(_by_view(known, wanted, found))
            self._known = {}
        raise UnsettledRead([view for view, _ in wanted])

    def write(self, view: str, changes: Changes, *, expected: int) -> None:
        if changes.is_rebuild:
            self._rebuild(view, changes, expected)
            return
        held = self.stored(view)
        require_revision(view, held, expected)
        generation = held.generation if held else 0
        rows = self._rows(view, generation)

        def change(pipe: Any) -> None:
            self._fill(pipe, rows, changes.rows)
            _unlink(pipe, (rows + key for key in changes.gone))

        self._commit(view, changed(changes.stored, generation=generation), expected, change)

    def delete(self, view: str, keys: Sequence[bytes]) -> None:
        until_first(lambda: self._delete(view, keys), ATTEMPTS)

    def _delete(self, view: str, keys: Sequence[bytes]) -> None:
        held = self.stored(view)
        if held is None:
            return
        rows = self._rows(view, held.generation)

        def change(pipe: Any) -> None:
            pipe.get(self._key(view, "generations"))
            _unlink(pipe, (rows + key for key in keys))

        answers = self._commit(view, changed(held, revision=held.revision + 1), held.revision, change)
        self._sweep(view, up_to=int(answers[0]), but=held.generation)

    def _rebuild(self, view: str, changes: Changes, expected: int) -> None:
        """Fill a generation that nobody else has. Who counted one before and is not done yet will be refused."""
        generation = int(self._client.incr(self._key(view, "generations")))
        rows = self._rows(view, generation)
        self._fill(self._client, rows, changes.rows)
        try:
            self._commit(view, changed(changes.stored, generation=generation), expected, lambda _: None)
        except OnlineConflict:
            _unlink(self._client, (rows + key for key, _ in changes.rows))
            raise
        self._sweep(view, up_to=generation, but=generation)

    def _commit(self, view: str, stored: StoredView, expected: int, change: Callable[[Any], None]) -> list[Any]:
        """Change the state, and with it what `change` asks for, in one transaction; return its answers."""
        import redis

        with self._client.pipeline() as pipe:
            try:
                pipe.watch(self._key(view, "state"))
                require_revision(view, self.stored(view), expected)
                pipe.multi()
                change(pipe)
                pipe.set(self._key(view, "state"), encode_state(stored))
                return pipe.execute()
            except redis.WatchError as error:
                raise OnlineConflict(view, found=None, required=expected) from error

    def _fill(self, to: Any, rows: bytes, packed: Sequence[tuple[bytes, bytes]]) -> None:
        for part in in_parts(packed, BATCH):
            to.mset({rows + key: value for key, value in part})

    def _sweep(self, view: str, *, up_to: int, but: int) -> None:
        """Remove generations that no reader is sent to and no writer can bring to use any more."""
        start = self._key(view, "")
        keys = self._client.scan_iter(re.sub(rb"([*?\[\]\\])", rb"\\\1", start) + b"*", count=BATCH)
        _unlink(self._client, (key for key in keys if _is_dead(key[len(start) :], up_to, but)))

    def _views(self, views: Sequence[str]) -> list[_Known]:
        """Return views as they were seen last; those that were not yet are looked up together."""
        known = self._known
        unknown = [view for view in dict.fromkeys(views) if view not in known]
        if unknown:
            states = self._client.mget([self._key(view, "state") for view in unknown])
            known = {**known, **{view: self._seen(view, raw) for view, raw in zip(unknown, states, strict=True)}}
            self._known = known  # never changed in place: other threads read it
        return [known[view] for view in views]

    def _seen(self, view: str, raw: bytes | None) -> _Known:
        if raw is None:
            raise NotOnline(view)
        stored = decode_state(view, raw)
        return _Known(self._key(view, "state"), raw, stored, self._rows(view, stored.generation))

    def _rows(self, view: str, generation: int) -> bytes:
        return self._key(view, f"{generation}:")

    def _key(self, view: str, name: str) -> bytes:
        return f"{self._prefix}{view}:{name}".encode()


def _by_view(
    known: Sequence[_Known], wanted: Sequence[tuple[str, Sequence[bytes]]], found: list[bytes | None]
) -> Iterator[tuple[StoredView, list[bytes | None]]]:
    start = len(known)
    for view, (_, keys) in zip(known, wanted, strict=True):
        yield view.stored, found[start : start + len(keys)]
        start += len(keys)


def _unlink(from_: Any, keys: Iterable[bytes]) -> None:
    for part in in_parts(keys, BATCH):
        from_.unlink(*part)


def _is_dead(rest: bytes, up_to: int, but: int) -> bool:
    generation, colon, _ = rest.partition(b":")
    return bool(colon) and generation.isdigit() and int(generation) <= up_to and int(generation) != but
