"""What a server reads within a request: the features of several views for some entities, in the order of a model.

The path of a read is short on purpose: one key and one decoded tuple for each entity and view, one read of the store.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mlops_assets.errors import MlopsError
from mlops_assets.features.online.packing import Packer, from_micros, to_micros
from mlops_assets.features.online.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mlops_assets.features.online.packing import Row
    from mlops_assets.features.online.store import StoredView

TIMES = 2  # `usable_at` and `event_timestamp` stand before the features of a row
FOR_EVER = 2**63  # microseconds


class SchemaMismatch(MlopsError):
    """The store holds rows of another definition, or of other types, than the reader expects."""

    def __init__(self, expected: Schema, found: Schema) -> None:
        self.view = expected.view
        super().__init__(
            f"online_features/{expected.view}",
            found=f"rows of schema {found.hash[:12]} ({_difference(expected, found)})",
            required=f"schema {expected.hash[:12]}",
            remedy=f"Materialise `features/{expected.view}` and `online_features/{expected.view}`, or serve a model that "
            "was trained on what the store holds.",
        )


class UnknownFeature(MlopsError):
    """A reader was asked for a feature that none of its views has."""

    def __init__(self, reference: str, known: Sequence[str]) -> None:
        super().__init__(
            f"feature {reference}",
            found="no such feature",
            required=f"one of {', '.join(known)}",
            remedy="Correct the reference, or give the reader the schema of its view.",
        )


class OnlineFeatures(msgspec.Struct, frozen=True):
    """Features of some entities.

    Attributes:
        columns: The values by feature, in the model's order; null where the offline join would give null.
        rows: By view, the row of each entity: `usable_at` and `event_timestamp` in microseconds, then its features.
    """

    columns: dict[str, Sequence[Any]]
    rows: list[list[Row]]

    @property
    def oldest_us(self) -> list[int | None]:
        """Return, by entity, the oldest `event_timestamp` among the views that had a row, in microseconds."""
        return list(map(_oldest, zip(*self.rows, strict=True)))

    @property
    def features_as_of(self) -> list[datetime | None]:
        """Return `oldest_us` as moments; None if no view had a row."""
        return [None if oldest is None else from_micros(oldest) for oldest in self.oldest_us]


class Readable(Protocol):
    """What a reader needs of an `OnlineStore`."""

    def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[StoredView, list[bytes | None]]]: ...


class OnlineReader:
    """Reads the features of one model.

    Args:
        schemas: What the model expects of each view (`schema.view_schema`).
        features: The features as `<view>:<feature>`, in the model's order.

    Raises:
        UnknownFeature: A feature is in none of the schemas.
    """

    def __init__(self, store: Readable, schemas: Sequence[Schema], features: Sequence[str]) -> None:
        self._store = store
        self._views = [_View(schema) for schema in schemas]
        places = [place for schema in schemas for place in _places(schema)]
        for reference in features:
            if reference not in places:
                raise UnknownFeature(reference, [place for place in places if place])
        self._names = [reference.partition(":")[2] for reference in features]
        self._pick = _picker([places.index(reference) for reference in features])

    def read(self, entities: Sequence[Mapping[str, Any]], *, now: datetime) -> OnlineFeatures:
        """Return the features of each entity as they can be used at `now`.

        Args:
            entities: Values of the entity columns of every view; a null entity has null features.

        Raises:
            NotOnline: A view was never materialised.
            SchemaMismatch: The store holds rows of another kind.
            WrongEntity: A column is missing, or its value has another type.
        """
        keys = [view.keys_of(entities) for view in self._views]
        wanted = [
            (view.name, [key for key in dict.fromkeys(some) if key])
            for view, some in zip(self._views, keys, strict=True)
        ]
        found = self._store.read(wanted)
        at = to_micros(now)
        parts = [
            view.rows(some, stored, dict(zip(asked, packed, strict=True)), at)
            for view, some, (_, asked), (stored, packed) in zip(self._views, keys, wanted, found, strict=True)
        ]
        rows = parts[0] if len(parts) == 1 else [tuple(chain(*row)) for row in zip(*parts, strict=True)]
        columns = zip(*map(self._pick, rows), strict=True) if rows else [()] * len(self._names)
        return OnlineFeatures(dict(zip(self._names, columns, strict=True)), parts)


class _View:
    """One view of a reader."""

    def __init__(self, schema: Schema) -> None:
        self.name = schema.view
        self._schema = schema
        packer = Packer(schema)
        self.keys_of, self._unpack = packer.keys_of, packer.unpack
        self._lifetime = FOR_EVER if schema.ttl_us is None else schema.ttl_us
        self._nothing: Row = (None,) * (TIMES + len(schema.features))
        self._seen: Schema | None = None

    def rows(
        self, keys: Sequence[bytes | None], stored: StoredView, packed: Mapping[bytes, bytes | None], at: int
    ) -> list[Row]:
        """Return the row of each key as it can be used at `at`: both times, then the features, all None without one."""
        if stored.schema is not self._seen:
            self._require(stored.schema)
        oldest, nothing = at - self._lifetime, self._nothing
        found: dict[bytes | None, Row] = {None: nothing}
        for key, value in packed.items():
            row = self._unpack(value) if value else nothing
            found[key] = row if value and row[0] <= at and row[1] >= oldest else nothing
        return [found[key] for key in keys]

    def _require(self, schema: Schema) -> None:
        if schema != self._schema:
            raise SchemaMismatch(self._schema, schema)
        self._seen = schema


def _places(schema: Schema) -> list[str]:
    """Return what stands where in a decoded row."""
    return ["", "", *(f"{schema.view}:{name}" for name, _ in schema.features)]


def _picker(positions: Sequence[int]) -> Callable[[Row], Row]:
    if len(positions) == 1:
        return itemgetter(slice(positions[0], positions[0] + 1))
    return itemgetter(*positions) if positions else lambda _: ()


def _oldest(rows: tuple[Row, ...]) -> int | None:
    times = [row[1] for row in rows if row[1] is not None]
    return min(times) if times else None


def _difference(expected: Schema, found: Schema) -> str:
    """Say in what two schemas of a view differ."""
    if expected.definition != found.definition:
        return f"definition {found.definition[:12]} instead of {expected.definition[:12]}"
    pairs = {*found.entity, *found.features} ^ {*expected.entity, *expected.features}
    return ", ".join(f"{name}: {kind}" for name, kind in sorted(pairs)) or "another order of features"
