"""From the rows of a request to the vectors that a model scores, column by column.

For each row and feature the first of these that there is: sent, computed from the request inputs, looked up, null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.problems import RequestFunctionFailed, WrongValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.predictor.request import RequestFeatures
    from mlops_assets.predictor.signature import Kind
    from mlops_assets.serving.body import Cell, Record
    from mlops_assets.serving.lookup import Lookup

REQUIRED: dict[Kind, str] = {"numeric": "a number, true, false or null", "categorical": "text or null"}


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of some rows.

    Attributes:
        columns: Every feature of the model, in its order: numbers, text, or None where unknown.
        as_of: See `arm.Scored`.
        defaulted: See `arm.Scored`.
    """

    columns: dict[str, Sequence[Any]]
    as_of: list[int | None]
    defaulted: tuple[str, ...]


class Assembler:
    """Makes the vectors of one model."""

    def __init__(self, manifest: Manifest, function: RequestFeatures | None, lookup: Lookup | None) -> None:
        self._features, self._inputs = manifest.features, frozenset(manifest.request_inputs)
        self._names = frozenset(self._features)
        known: dict[str, Kind] = {name: self._features[name] for name in self._inputs & self._names}
        self._kinds: dict[str, Kind] = {**known, **manifest.input_kinds}
        self._order, self._function, self._lookup = manifest.request_inputs, function, lookup

    def vectors(self, rows: Sequence[Record], until: float) -> Vectors:
        """Return the vectors of the rows.

        Args:
            until: See `arm.Arm.score`.

        Raises:
            WrongValue: A value does not fit its column.
            RequestFunctionFailed: The request function raised.
        """
        computed = self._computed(rows) if self._function else {}
        looked = self._lookup.read(rows, until) if self._lookup else None
        made = {**looked.columns, **computed} if looked else computed
        sent = self._names.intersection(rows[0] if len(rows) == 1 else set().union(*rows))
        sent -= self._inputs & computed.keys()  # handed through by the function, which may not change them
        unknown: list[Any] = [None] * len(rows)
        columns: dict[str, Sequence[Any]] = {
            name: _sent(name, kind, rows, made.get(name, unknown)) if name in sent else made.get(name, unknown)
            for name, kind in self._features.items()
        }
        if looked is None or not looked.columns:
            return Vectors(columns, [], ())
        return Vectors(columns, looked.as_of, tuple(name for name in looked.defaulted if name not in sent))

    def _computed(self, rows: Sequence[Record]) -> dict[str, list[Any]]:
        """Return what the function makes of the rows that have at least one input; the features of others are null."""
        asked = [place for place, row in enumerate(rows) if not self._inputs.isdisjoint(row)]
        if len(asked) == len(rows):
            return self._called(rows) if rows else {}
        if not asked:
            return {}
        made = self._called([rows[place] for place in asked])
        computed: dict[str, list[Any]] = {name: [None] * len(rows) for name in made}
        for name, values in made.items():
            for place, value in zip(asked, values, strict=True):
                computed[name][place] = value
        return computed

    def _called(self, rows: Sequence[Record]) -> dict[str, list[Any]]:
        from mlops_assets.features.request_values import apply_to_values

        assert self._function is not None
        values = {name: [row.get(name) for row in rows] for name in self._order}
        try:
            return apply_to_values(self._function, values, self._kinds, len(rows))
        except Exception as error:  # whatever a person's function raises about these values is an answer to the caller
            raise RequestFunctionFailed(self._order, f"{type(error).__name__}: {error}") from error


def _sent(name: str, kind: Kind, rows: Sequence[Record], otherwise: Sequence[Any]) -> list[Any]:
    """Return the values that were sent; of the rows that do not have the column, what it would be otherwise."""
    values = [row.get(name, other) for row, other in zip(rows, otherwise, strict=True)]
    try:
        if kind == "numeric":
            return [value if value is None else _number(value) for value in values]
        return [value if value is None else _text(value) for value in values]
    except TypeError as error:
        wrong = next((place, one) for place, one in enumerate(values) if not fits(kind, one))
        raise WrongValue(name, found=f"{wrong[1]!r} in row {wrong[0]}", required=REQUIRED[kind]) from error


def fits(kind: Kind, value: Cell) -> bool:
    """Whether a value can be one of a column of that kind."""
    return value is None or isinstance(value, str) == (kind == "categorical")


def _number(value: Cell) -> float:
    if isinstance(value, str):
        raise TypeError
    return float(value)  # pyright: ignore[reportArgumentType]


def _text(value: Cell) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
