"""Keys and rows as bytes: msgpack, decoded by type, so that what comes back equals what the offline table holds, bit by bit.

A packed row is `[usable_at, event_timestamp, *features]`, both times in microseconds since 1970. A row can be used from
`usable_at = max(known_at, event_timestamp)` on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.errors import MlopsError
from mlops_assets.features.online.schema import python_type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from mlops_assets.features.online.schema import Schema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
USABLE_AT, EVENT_TIMESTAMP = "usable at", "event_timestamp"  # no column of a person has a space
Row = tuple[Any, ...]


class WrongEntity(MlopsError):
    """An entity was named by values that its columns cannot hold, or without one of them."""

    def __init__(self, view: str, *, found: str, required: str) -> None:
        super().__init__(
            f"entity of online_features/{view}", found=found, required=required, remedy="Correct the request."
        )


class Packer:
    """Encodes keys and rows of one view, and decodes rows."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._encode = msgspec.msgpack.Encoder().encode
        self._names = tuple(name for name, _ in schema.entity)
        self._types = tuple(python_type(kind) for _, kind in schema.entity)
        self._kinds = [{kind} for kind in self._types]
        self._is_plain = not {Decimal, datetime} & {*self._types}
        values = [python_type(kind) | None for _, kind in schema.features]
        self.unpack = msgspec.msgpack.Decoder(tuple[(int, int, *values)]).decode

    def key(self, entity: Mapping[str, Any]) -> bytes | None:
        """Return the key of an entity, as `keys_of`."""
        return self.keys_of({name: [value] for name, value in entity.items()})[0]

    def keys_of(self, entities: Mapping[str, Sequence[Any]]) -> list[bytes | None]:
        """Return the key of each entity; None if part of it is null, for a null equals nothing.

        Args:
            entities: By column, one value an entity.

        Raises:
            WrongEntity: A column is missing, or a value has another type.
        """
        try:
            columns = [entities[name] for name in self._names]
        except KeyError as error:
            found = f"columns {', '.join(entities) or 'none'}"
            raise WrongEntity(self._schema.view, found=found, required=f"also {error.args[0]}") from error
        rows = zip(*columns, strict=True)
        if self._is_plain and [{*map(type, column)} for column in columns] == self._kinds:
            return list(map(self._encode, rows))
        return list(map(self._checked_key, rows))

    def _checked_key(self, values: Sequence[Any]) -> bytes | None:
        if None in values:
            return None
        self._refuse_wrong(values)
        try:
            return self._encode(tuple(map(_canonical, values)))
        except TypeError as error:
            found = f"{', '.join(map(repr, values))} ({error})"
            raise WrongEntity(self._schema.view, found=found, required="a time with its zone") from error

    def keys(self, table: pa.Table) -> list[bytes]:
        """Return the keys of the entities of a table without nulls."""
        columns = [table[name].to_pylist() for name, _ in self._schema.entity]
        rows = zip(*columns, strict=True)
        return [self._encode(row if self._is_plain else tuple(map(_canonical, row))) for row in rows]

    def rows(self, table: pa.Table) -> Iterator[bytes]:
        """Yield the packed rows of a table."""
        import pyarrow as pa

        times = [table[name].cast(pa.int64()).to_pylist() for name in (USABLE_AT, EVENT_TIMESTAMP)]
        features = [table[name].to_pylist() for name, _ in self._schema.features]
        return map(self._encode, zip(*times, *features, strict=True))

    def _refuse_wrong(self, values: Sequence[Any]) -> None:
        for (name, kind), value, required in zip(self._schema.entity, values, self._types, strict=True):
            if type(value) is not required and not (required is datetime and isinstance(value, datetime)):
                found = f"{name}={value!r} ({type(value).__name__})"
                raise WrongEntity(self._schema.view, found=found, required=f"{required.__name__}, for {kind}")


def parse_entity(schema: Schema, entity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entity with its values read from text, such as a command line has.

    Raises:
        WrongEntity: A column is missing or unknown, or its text does not say a value of its type.
    """
    required = dict(schema.entity)
    if entity.keys() != required.keys():
        raise WrongEntity(schema.view, found=", ".join(entity) or "no column", required=", ".join(required))
    try:
        return {
            n: msgspec.convert(entity[n], python_type(kind), strict=False)  # noqa: TID251  a scalar needs no description
            for n, kind in required.items()
        }
    except msgspec.ValidationError as error:
        types = ", ".join(f"{name}: {kind}" for name, kind in required.items())
        raise WrongEntity(schema.view, found=str(error), required=types) from error


def entity_text(values: Sequence[Any]) -> str:
    """Return the values of an entity as text that stays when a column changes its type, as from BIGINT to VARCHAR.

    >>> entity_text([7, "a"]) == entity_text(["7", "a"])
    True
    """
    return msgspec.json.encode([_text(value) for value in values]).decode()


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the moment of `to_micros`."""
    return EPOCH + timedelta(microseconds=micros)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.hex() if isinstance(value, bytes) else str(_canonical(value))


def _canonical(value: Any) -> Any:
    """Return what equal values of a key share: of a time its microseconds, of a decimal no zeros at its end."""
    if isinstance(value, datetime):
        return to_micros(value)
    if not isinstance(value, Decimal):
        return value
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
