"""What went wrong in a load, told in the words of the file and without its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.contract.types import SchemaChanged
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlops_assets.ingestion.sources.reading import Reading
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.windows import Window


class SourceFailed(MlopsError):
    """The source raised an error of its own."""

    def __init__(self, spec: IngestionSpec, window: Window | None, message: str) -> None:
        of = f" for {window.key}" if window else ""
        super().__init__(
            f"Source {spec.name} ({_kind(spec)}){of}",
            found=message,
            required="rows, or nothing",
            remedy="Nothing was published. Mend the source (its traceback is above), then run again.",
        )


class ResourceMissing(MlopsError):
    """The source has no resource for a declared table."""

    def __init__(self, spec: IngestionSpec, missing: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"Source {spec.name} ({_kind(spec)})",
            found=f"the resources {', '.join(known) or 'none'}",
            required=f"also {', '.join(missing)}",
            remedy="Name the tables in the Ingestion file after the dlt resources.",
        )


def clearer(reading: Reading, error: Exception) -> MlopsError:
    """Return the error behind dlt's own, as one that a person can act on."""
    from dlt.common.libs.pyarrow import PyToArrowConversionException
    from dlt.common.schema.exceptions import DataValidationError

    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, MlopsError):
            return cause
        if isinstance(cause, DataValidationError):
            return _other_value(reading.spec, cause)
        if isinstance(cause, PyToArrowConversionException):
            return _other_type(reading, causes, cause)
    message = f"{type(causes[-1]).__name__}: {causes[-1]}"
    return SourceFailed(reading.spec, reading.window, reading.secrets.masked(message))


def shown(reading: Reading, error: Exception) -> Exception | None:
    """Return the error as the cause to show, unless a message in its chain holds a secret."""
    texts = [str(cause) for cause in _causes(error)]
    return error if texts == [reading.secrets.masked(text) for text in texts] else None


def _other_value(spec: IngestionSpec, error: Any) -> SchemaChanged:
    column, _, found = error.column_name.partition("__v_")  # dlt's name for a value of another type
    value = (error.data_item or {}).get(error.column_name)
    declared = spec.tables[error.table_name].columns.get(column, "no such type")
    return SchemaChanged(error.table_name, column, found=f"{value!r} of type {found}", required=declared)


def _other_type(reading: Reading, causes: Sequence[BaseException], error: Any) -> SchemaChanged:
    from dlt.extract.exceptions import ResourceExtractionError

    table = next(cause.pipe_name for cause in causes if isinstance(cause, ResourceExtractionError))
    column = reading.normalized(error._field_name)  # noqa: SLF001  it is else only in the message
    declared = reading.spec.tables[table].columns.get(column, "no such type")
    return SchemaChanged(table, column, found=" ".join(str(causes[-1]).split()), required=declared)


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _kind(spec: IngestionSpec) -> str:
    return spec.source if isinstance(spec.source, str) else spec.source.type
