"""Features looked up for the rows of a request, or their fallbacks: a store that fails or is slow never fails a request.

Keep out: how a row is read from a store (`features.online`), what else a vector is made of (`columns.py`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.features.online.packing import WrongEntity
from mlops_assets.features.online.reader import OnlineFeatures, OnlineReader, SchemaMismatch
from mlops_assets.features.online.schema import python_type
from mlops_assets.features.online.store import NotOnline, UnreadableOnlineState
from mlops_assets.serving.arm import INLINE_ROWS
from mlops_assets.serving.looked_up import Looked, joined, readers_of
from mlops_assets.serving.problems import WrongValue
from mlops_assets.serving.tracing import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_assets.clock import Clock
    from mlops_assets.features.online.plan import LookupPlan
    from mlops_assets.serving.body import Record
    from mlops_assets.serving.online import GuardedStore

RETRY_SECONDS = 5.0
PLAIN = (int, str, bool)


class Lookup:
    """The looked-up features of one model.

    Args:
        store: None: every feature is its fallback.
        clock: Says of which age a value is.
    """

    def __init__(self, plan: LookupPlan, store: GuardedStore | None, clock: Clock) -> None:
        self.names = tuple(reference.partition(":")[2] for reference in plan.features)
        self._plan, self._store, self._clock = plan, store, clock
        entities = {name: python_type(kind) for schema in plan.views for name, kind in schema.entity}
        self._entities = tuple(entities)
        self._parsed = {name: kind for name, kind in entities.items() if kind not in PLAIN}
        self._sent = frozenset(self.names)
        self._convert = readers_of(plan.views, self.names)
        self._readers: dict[frozenset[str], OnlineReader] = {}
        self._suspended: dict[str, float] = {}

    def warm(self) -> None:
        """Look nobody up, so that connections and states are there."""
        self._read([{}], float("inf"))

    def read(self, rows: Sequence[Record], until: float) -> Looked:
        """Return the features of the rows.

        Args:
            until: `time.monotonic()` by which the request is answered, or too late; nothing is looked up after it. How long
                a store may take is the store's own time-out.

        Raises:
            WrongValue: An entity cannot have the value that was sent.
        """
        if not self.names or all(row.keys() >= self._sent for row in rows):
            return Looked({}, [], ())
        with span("lookup"):
            starts = range(0, len(rows), INLINE_ROWS)
            parts = [self._read(rows[start : start + INLINE_ROWS], until) for start in starts]
        looked = parts[0] if len(parts) == 1 else joined(parts)
        if looked.defaulted and self._store:
            self._store.defaulted += len(rows)
        return looked

    def _read(self, rows: Sequence[Record], until: float) -> Looked:
        store, entities = self._store, self._entities_of(rows)
        if store is None or time.monotonic() >= until:
            return self._fallback(len(rows))
        try:
            found = self._found(store, entities)
        except WrongEntity as error:
            raise WrongValue(", ".join(self._entities), found=error.found, required=error.required) from error
        except Exception as error:  # noqa: BLE001  (a driver raises what it likes; the request goes on)
            store.note(error)
            return self._fallback(len(rows))
        columns = found.columns
        for name, convert in self._convert:
            if name in columns:
                columns[name] = convert(columns[name])
        if len(columns) == len(self.names):
            return Looked(columns, found.oldest_us, ())
        missing = self._fallback(len(rows), without=columns)
        return Looked({**missing.columns, **columns}, found.oldest_us or missing.as_of, missing.defaulted)

    def _found(self, store: GuardedStore, entities: Mapping[str, Sequence[Any]]) -> OnlineFeatures:
        """Read the views that can be read; one that cannot is left alone for a while."""
        while True:
            suspended = self._still_suspended() if self._suspended else frozenset[str]()
            try:
                return self._reader(store, suspended).read_columns(entities, now=self._clock.now())
            except (NotOnline, SchemaMismatch, UnreadableOnlineState) as error:
                if error.view in suspended:
                    raise
                store.note(error)
                self._suspended[error.view] = time.monotonic() + RETRY_SECONDS

    def _entities_of(self, rows: Sequence[Record]) -> dict[str, list[Any]]:
        """Return the entities of the rows by column, null where one was not sent."""
        entities: dict[str, list[Any]] = {name: [row.get(name) for row in rows] for name in self._entities}
        for name, kind in self._parsed.items():
            entities[name] = [_parsed(name, value, kind, place) for place, value in enumerate(entities[name])]
        return entities

    def _reader(self, store: GuardedStore, without: frozenset[str]) -> OnlineReader:
        if without not in self._readers:
            views = [schema for schema in self._plan.views if schema.view not in without]
            features = [one for one in self._plan.features if one.partition(":")[0] not in without]
            self._readers[without] = OnlineReader(store, views, features)
        return self._readers[without]

    def _still_suspended(self) -> frozenset[str]:
        now = time.monotonic()
        self._suspended = {view: end for view, end in self._suspended.items() if end > now}
        return frozenset(self._suspended)

    def _fallback(self, rows: int, without: dict[str, Any] | None = None) -> Looked:
        names = tuple(name for name in self.names if name not in (without or ()))
        return Looked({name: [self._plan.fallback.get(name)] * rows for name in names}, [None] * rows, names)


def _parsed(name: str, value: Any, kind: type, place: int) -> Any:
    try:
        return msgspec.convert(value, kind | None)  # noqa: TID251  a scalar needs no description
    except msgspec.ValidationError as error:
        raise WrongValue(name, found=f"{value!r} in row {place}", required=f"{kind.__name__}, {error}") from error
