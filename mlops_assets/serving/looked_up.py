"""What a lookup found, in the types that a model takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pyarrow as pa

    from mlops_assets.features.online.schema import Schema

    Column = Sequence[Any]
    Convert = Callable[[Column], list[Any]]


@dataclass(frozen=True, slots=True)
class Looked:
    """The looked-up features of some rows.

    Attributes:
        columns: Values by feature; empty where no lookup was needed.
        as_of: Microseconds since the epoch, one a row: the oldest value; None where no view had a row.
        defaulted: Features that are their fallbacks, in all of the rows or in some.
    """

    columns: Mapping[str, Sequence[Any]]
    as_of: list[int | None]
    defaulted: tuple[str, ...]


def joined(parts: Sequence[Looked]) -> Looked:
    """Put the rows of several lookups together."""
    names = parts[0].columns
    return Looked(
        {name: [value for part in parts for value in part.columns[name]] for name in names},
        [moment for part in parts for moment in part.as_of],
        tuple(dict.fromkeys(name for part in parts for name in part.defaulted)),
    )


def readers_of(views: Iterable[Schema], names: Sequence[str]) -> list[tuple[str, Convert]]:
    """Return the features whose stored values are neither numbers nor text, and what makes numbers or text of them.

    Text comes out as the offline path writes it, which casts by Arrow.
    """
    kinds = {name: kind for schema in views for name, kind in schema.features if name in names}
    found: list[tuple[str, Convert]] = []
    for name, kind in kinds.items():
        if kind == "bool" or kind.startswith("decimal"):
            found.append((name, _numbers))
        elif kind in ("date32[day]", "timestamp[us, tz=UTC]", "timestamp[us]", "binary"):
            found.append((name, _texts(kind)))
    return found


def _numbers(values: Column) -> list[Any]:
    return [None if value is None else float(value) for value in values]


def _texts(kind: str) -> Convert:
    def convert(values: Column) -> list[Any]:
        import pyarrow as pa

        return pa.array(values, _arrow(kind)).cast(pa.string()).to_pylist()

    return convert


def _arrow(kind: str) -> pa.DataType:
    import pyarrow as pa

    types = {"date32[day]": pa.date32(), "timestamp[us]": pa.timestamp("us"), "binary": pa.binary()}
    return types.get(kind) or pa.timestamp("us", "UTC")
