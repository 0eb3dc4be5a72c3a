"""What a server reads within a request: the features of several views for some entities, in the order of a model.

The path of a read is short on purpose: one key and one decoded tuple for each entity and view, one read of the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mlops_assets.errors import MlopsError
from mlops_assets.features.online.packing import Packer, from_micros, to_micros
from mlops_assets.features.online.schema import Schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
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
        times: By view, the `event_timestamp` of each entity's row in microseconds; null where it has none.
    """

    columns: dict[str, Sequence[Any]]
    times: list[Sequence[int | None]]

    @property
    def oldest_us(self) -> list[int | None]:
        """Return, by entity, the oldest `event_timestamp` among the views that had a row, in microseconds."""
        return list(map(_oldest, zip(*self.times, strict=True)))

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
        self._entities = {name for schema in schemas for name, _ in schema.entity}
        places = {
            f"{schema.view}:{name}": (at, TIMES + place)
            for at, schema in enumerate(schemas)
            for place, (name, _) in enumerate(schema.features)
        }
        for reference in features:
            if reference not in places:
                raise UnknownFeature(reference, list(places))
        self._places = {reference.partition(":")[2]: places[reference] for reference in features}

    def read(self, entities: Sequence[Mapping[str, Any]], *, now: datetime) -> OnlineFeatures:
        """Return the features of each entity, as `read_columns`."""
        names = entities[0] if entities else self._entities
        known = [name for name in names if all(name in entity for entity in entities)]
        return self.read_columns({name: [entity[name] for entity in entities] for name in known}, now=now)

    def read_columns(self, entities: Mapping[str, Sequence[Any]], *, now: datetime) -> OnlineFeatures:
        """Return the features of each entity as they can be used at `now`.

        Args:
            entities: The entity columns of every view, one value an entity; a null entity has null features.

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
            view.columns(some, stored, zip(asked, packed, strict=True), at)
            for view, some, (_, asked), (stored, packed) in zip(self._views, keys, wanted, found, strict=True)
        ]
        columns = {name: parts[view][place] for name, (view, place) in self._places.items()}
        return OnlineFeatures(columns, [part[1] for part in parts])


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

    def columns(
        self,
        keys: Sequence[bytes | None],
        stored: StoredView,
        packed: Iterable[tuple[bytes, bytes | None]],
        at: int,
    ) -> Sequence[Sequence[Any]]:
        """Return what can be used of the row of each key at `at`: both times, then the features; None without a row."""
        if stored.schema is not self._seen:
            self._require(stored.schema)
        oldest, nothing = at - self._lifetime, self._nothing
        found: dict[bytes | None, Row] = {None: nothing}
        for key, value in packed:
            row = self._unpack(value) if value else nothing
            found[key] = row if value and row[0] <= at and row[1] >= oldest else nothing
        return list(zip(*[found[key] for key in keys], strict=True)) or [()] * len(nothing)

    def _require(self, schema: Schema) -> None:
        if schema != self._schema:
            raise SchemaMismatch(self._schema, schema)
        self._seen = schema


def _oldest(times: tuple[int | None, ...]) -> int | None:
    known = [one for one in times if one is not None]
    return min(known) if known else None


def _difference(expected: Schema, found: Schema) -> str:
    """Say in what two schemas of a view differ."""
    if expected.definition != found.definition:
        return f"definition {found.definition[:12]} instead of {expected.definition[:12]}"
    pairs = {*found.entity, *found.features} ^ {*expected.entity, *expected.features}
    return ", ".join(f"{name}: {kind}" for name, kind in sorted(pairs)) or "another order of features"
