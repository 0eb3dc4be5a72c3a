"""One Delta commit, safe beside a concurrent twin: who loses the race looks again at what is there, and tries again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.errors import MlopsError
from mlops_assets.lake.delta import open_table, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from deltalake import DeltaTable

PROPERTIES_KEY = "mlops"
ATTEMPTS = 25
CONFIGURATION: dict[str, str | None] = {
    "delta.checkpointInterval": "10",  # opening a table replays the commits since its last checkpoint
    "delta.logRetentionDuration": "interval 1000 weeks",  # old versions stay readable: lineage refers to them
}


class ColumnTypeChanged(MlopsError):
    """A write would change the type of a column; the table was left as it was."""

    def __init__(self, uri: str, column: str, *, found: str, required: str) -> None:
        super().__init__(
            f"{uri}, column {column}",
            found=f"type {found}",
            required=f"{required}, the type in the table",
            remedy="Nothing was written. Cast the column at the source, or publish it under a new name.",
        )


class WriteContention(MlopsError):
    """Other writers kept winning the race for the next version."""

    def __init__(self, uri: str, attempts: int) -> None:
        super().__init__(
            uri,
            found=f"{attempts} lost races against other writers",
            required="one commit",
            remedy="Nothing was written. Run again when fewer runs write this table.",
        )


def commit(
    uri: str,
    table: pa.Table,
    *,
    schema_mode: Literal["merge", "overwrite"],
    partition_by: list[str],
    predicate: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> int:
    """Write against the newest version, again when another writer was faster: Delta refuses the later of two twins.

    Args:
        schema_mode: `merge` keeps the columns of the table and their types; `overwrite` replaces them.
        predicate: Which rows to replace; none: all.
        properties: Facts to store with the commit.

    Returns:
        The version of the commit.

    Raises:
        ColumnTypeChanged: Columns are merged, and one has another type than in the table.
        WriteContention: Too many concurrent writers.
    """
    from deltalake import CommitProperties, write_deltalake

    facts = CommitProperties({PROPERTIES_KEY: json.dumps(dict(properties or {}), sort_keys=True)})
    stored = _storable(table)

    def attempt() -> int:
        delta = _open_or_create(uri, stored.schema, partition_by)
        if schema_mode == "merge":
            _require_same_types(uri, delta, stored.schema)
        write_deltalake(
            delta, stored, mode="overwrite", schema_mode=schema_mode, predicate=predicate, commit_properties=facts
        )
        return delta.version()

    return _retried(uri, attempt)


def _retried(uri: str, attempt: Callable[[], int]) -> int:
    from deltalake.exceptions import CommitFailedError
    from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    retrying = Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.02, max=1),
    )
    try:
        return retrying(attempt)
    except RetryError as error:
        raise WriteContention(uri, ATTEMPTS) from error


def _storable(table: pa.Table) -> pa.Table:
    """Return the table in types that every Delta reader knows: microseconds, plain values, all nullable."""
    import pyarrow as pa

    def stored(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_dictionary(kind):
            return kind.value_type
        return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else kind

    return table.cast(pa.schema([pa.field(f.name, stored(f.type)) for f in table.schema]), safe=False)


def _open_or_create(uri: str, schema: pa.Schema, partition_by: list[str]) -> DeltaTable:
    from deltalake import DeltaTable

    if not DeltaTable.is_deltatable(place(uri)):
        DeltaTable.create(
            place(uri), schema=schema, mode="ignore", partition_by=partition_by, configuration=CONFIGURATION
        )
    return open_table(uri)


def _require_same_types(uri: str, delta: DeltaTable, schema: pa.Schema) -> None:
    from deltalake import Schema

    held = {field.name: field.type for field in delta.schema().fields}
    for field in Schema.from_arrow(schema).fields:
        if field.name in held and held[field.name] != field.type:
            found, required = _type_name(field.type), _type_name(held[field.name])
            raise ColumnTypeChanged(uri, field.name, found=found, required=required)


def _type_name(kind: Any) -> str:
    return str(getattr(kind, "type", kind))
