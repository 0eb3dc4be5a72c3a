"""What the online rows of one view look like, and the hash by which a reader and a store agree on it."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.features.definition import View

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
KEYS: dict[str, type] = {
    **dict.fromkeys(INTEGERS, int),
    "bool": bool,
    "string": str,
    "binary": bytes,
    "date32[day]": date,
    "timestamp[us, tz=UTC]": datetime,
}
SCALARS: dict[str, type] = {**KEYS, "float": float, "double": float, "timestamp[us]": datetime}
LIST, DECIMAL = "list<", "decimal"


class UnstorableType(MlopsError):
    """A column has a type that an online row cannot hold."""

    def __init__(self, view: str, column: str, *, found: str, required: str) -> None:
        super().__init__(
            f"online_features/{view}, column {column}",
            found=f"type {found}",
            required=required,
            remedy="Cast the column in the view's SQL, or set `online: false`.",
        )


class Schema(msgspec.Struct, frozen=True):
    """The online rows of one view.

    Attributes:
        definition: Hash of the view's definition.
        entity: Name and type of each column that says whom a row is about.
        features: Name and type of each feature, in the order of the packed values.
        ttl_us: Microseconds that a value lives from its `event_timestamp` on; None: for ever.
    """

    view: str
    definition: str
    entity: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str], ...]
    ttl_us: int | None

    @property
    def hash(self) -> str:
        """Return the sha256 of definition, names and types."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def view_schema(view: View, columns: pa.Schema) -> Schema:
    """Return the schema of a view's online rows, given the columns of its table.

    Raises:
        UnstorableType: A row cannot hold a column, or a key cannot be compared exactly.
    """
    spec = view.spec
    return Schema(
        view=spec.name,
        definition=view.definition,
        entity=tuple((name, _key_type(spec.name, columns.field(name))) for name in spec.entity),
        features=tuple((name, _feature_type(spec.name, columns.field(name))) for name in spec.features),
        ttl_us=None if spec.ttl_days is None else timedelta(days=spec.ttl_days) // timedelta(microseconds=1),
    )


def python_type(name: str) -> Any:
    """Return the Python type of the values of a type.

    >>> python_type("list<double>")
    list[float | None]
    """
    if name.startswith(LIST):
        return list[python_type(name[len(LIST) : -1]) | None]
    return Decimal if name.startswith(DECIMAL) else SCALARS[name]


def _key_type(view: str, field: pa.Field) -> str:
    name = _type_name(field.type)
    if name not in KEYS and not name.startswith(DECIMAL):
        required = "an integer, decimal, text, binary, boolean, date or UTC timestamp, which compare exactly"
        raise UnstorableType(view, field.name, found=str(field.type), required=required)
    return name


def _feature_type(view: str, field: pa.Field) -> str:
    name = _type_name(field.type)
    innermost = name.replace(LIST, "").rstrip(">")
    if innermost not in SCALARS and not innermost.startswith(DECIMAL):
        required = "a number, text, binary, boolean, date, timestamp, or lists of these"
        raise UnstorableType(view, field.name, found=str(field.type), required=required)
    return name


def _type_name(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{LIST}{_type_name(kind.value_type)}>"
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    return str(kind)
