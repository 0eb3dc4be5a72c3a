"""What requests had and models saw, as typed columns beside the log's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from mlops_assets.predictor.signature import Kind

IDS = ("event_id", "inference_id")  # a request may bring its own; the log has them in columns of their own
RESERVED = frozenset({
    *("event_id", "row", "inference_id", "prediction_time", "model_version", "generation", "variant", "role", "assigned"),
    *("traffic", "unit", "http_status", "error", "latency_us", "arm_us", "feature_count", "null_count", "features_as_of"),
    *("defaulted", "score", "predicted_class", "probabilities", "label", "label_known_at", "status", "feedback"),
    *("feedback_at", "_window"),
})  # fmt: skip
PREFIX = "input_"


def column_of(name: str) -> str:
    """Return the column in which the log keeps a column of a request or a feature.

    >>> column_of("amount"), column_of("unit")
    ('amount', 'input_unit')
    """
    return f"{PREFIX}{name}" if name.lower() in RESERVED else name


def text_of(value: Any) -> str | None:
    """Return a cell as text, as DuckDB casts it; a whole number has no point, however it was sent.

    >>> text_of(7.0), text_of(True), text_of("7")
    ('7', 'true', '7')
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def number_of(value: Any) -> float | None:
    """Return a cell as a number; null where it is none."""
    try:
        return None if value is None else float(value)
    except (ValueError, OverflowError):
        return None


def user_columns(
    asked: Sequence[Mapping[str, Any]],
    versions: Sequence[int],
    *,
    kinds: Mapping[int, Mapping[str, Kind]],
    text: frozenset[str],
    held: pa.Schema | None,
) -> dict[str, pa.Array[Any]]:
    """Return a column for each name that any row has; one that has no value at all is left out.

    A name that is numeric in one version and categorical in another has two columns, the later one with its kind behind
    its name.
    """
    arrays: dict[str, pa.Array[Any]] = {}
    taken = _kinds(held)
    for name in dict.fromkeys(name for row in asked for name in row if name not in IDS):
        cells = [row.get(name) for row in asked]
        for kind, values in _by_kind(name, cells, versions, _declared(name, kinds, text), held).items():
            column = _free(column_of(name), kind, taken)
            arrays[column], taken[column] = _array(values, kind), kind
    return arrays


def _by_kind(
    name: str,
    cells: list[Any],
    versions: Sequence[int],
    declared: Mapping[int | None, Kind],
    held: pa.Schema | None,
) -> dict[Kind, list[Any]]:
    """Return the cells by their kind, null where they are of another one; without any cell, nothing."""
    if all(cell is None for cell in cells):
        return {}
    known: list[Kind | None] = [declared.get(version) or declared.get(None) for version in set(versions)]
    if (kind := known[0]) is not None and len(set(known)) == 1:
        return {kind: cells}
    split: dict[Kind, list[Any]] = {}
    for at, (version, cell) in enumerate(zip(versions, cells, strict=True)):
        if cell is not None:
            own: Kind = declared.get(version) or declared.get(None) or _guess(name, cell, held)
            split.setdefault(own, [None] * len(cells))[at] = cell
    return split


def _array(cells: list[Any], kind: Kind) -> pa.Array[Any]:
    import pyarrow as pa

    dtype = pa.string() if kind == "categorical" else pa.float64()
    try:
        return pa.array(cells, dtype)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # mixed cells, or whole numbers that name somebody
        cast = text_of if kind == "categorical" else number_of
        return pa.array([cast(cell) for cell in cells], dtype)


def _declared(name: str, kinds: Mapping[int, Mapping[str, Kind]], text: Iterable[str]) -> dict[int | None, Kind]:
    if name in text:
        return {None: "categorical"}
    return {version: features[name] for version, features in kinds.items() if name in features}


def _guess(name: str, cell: Any, held: pa.Schema | None) -> Kind:
    """Return the kind of a column that no version declares: as in the table, if the cell allows it."""
    if isinstance(cell, str) and not (_kinds(held).get(column_of(name)) == "numeric" and number_of(cell) is not None):
        return "categorical"
    return "numeric" if isinstance(cell, str) else _kinds(held).get(column_of(name), "numeric")


def _free(column: str, kind: Kind, taken: Mapping[str, Kind]) -> str:
    return column if taken.get(column, kind) == kind else f"{column}_{kind}"


def _kinds(schema: pa.Schema | None) -> dict[str, Kind]:
    return {} if schema is None else {field.name: _kind(field.type) for field in schema}


def _kind(dtype: pa.DataType) -> Kind:
    import pyarrow as pa

    return "numeric" if pa.types.is_floating(dtype) else "categorical"
