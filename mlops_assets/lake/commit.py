"""One Delta commit, safe beside a concurrent twin: who loses the race looks again at what is there, and tries again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.errors import MlopsError
from mlops_assets.lake.delta import open_table, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from deltalake import DeltaTable

PROPERTIES_KEY = "mlops"
APPLICATION = "mlops"  # of Delta's application transactions
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


@dataclass(frozen=True)
class Write:
    """What one commit does to a table.

    Attributes:
        rows: What is written.
        adds: Whether the rows are added to what is there; otherwise they take its place.
        predicate: Which rows to replace; none: all.
        schema_mode: `merge` keeps the columns of the table and their types; `overwrite` replaces them.
        partition_by: Columns that Delta keeps in paths, if the table is new.
        properties: Facts to store with the commit.
        exclusive: Whether any other exclusive write that was not there when this one was planned makes it lose the race.
    """

    rows: pa.Table
    adds: bool = False
    predicate: str | None = None
    schema_mode: Literal["merge", "overwrite"] = "merge"
    partition_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    exclusive: bool = True


def commit(uri: str, plan: Callable[[int | None], Write | None]) -> int | None:
    """Commit what `plan` makes of the newest version; who loses the race plans again on what the winner left.

    Args:
        plan: Gets the newest version (None: no table yet) and returns what to write; None: nothing.

    Returns:
        The version of the commit, or the newest version if nothing was to write (None: still no table).

    Raises:
        ColumnTypeChanged: Columns are merged, and one has another type than in the table.
        WriteContention: Too many concurrent writers.
    """

    def attempt() -> int | None:
        delta = _open(uri)
        version = delta.version() if delta else None
        write = plan(version)
        return version if write is None else _write(uri, delta, write)

    return retried(uri, attempt)


def _write(uri: str, planned_on: DeltaTable | None, write: Write) -> int:
    from deltalake import CommitProperties, Transaction, write_deltalake

    stored = _storable(write.rows)
    delta = planned_on or create(uri, stored.schema, list(write.partition_by))
    if write.schema_mode == "merge":
        require_same_types(uri, arrow_schema(delta), stored.schema)
    facts = {PROPERTIES_KEY: json.dumps(dict(write.properties), sort_keys=True)}
    # Delta refuses a commit if one with the same application id came between; without it two appends both succeed,
    # and so do two overwrites of a table that has no files yet.
    claims = [Transaction(APPLICATION, delta.version() + 1)] if write.exclusive else None
    write_deltalake(  # pyright: ignore[reportCallIssue]  its overloads name one mode each
        delta,
        stored,
        mode="append" if write.adds else "overwrite",  # pyright: ignore[reportArgumentType]
        schema_mode=write.schema_mode,
        predicate=write.predicate,
        commit_properties=CommitProperties(facts, app_transactions=claims),
    )
    return delta.version()


def retried(uri: str, attempt: Callable[[], int | None]) -> int | None:
    """Attempt a commit again as long as it loses the race.

    Raises:
        WriteContention: It lost too often.
    """
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
    return table.cast(storable_schema(table.schema), safe=False)


def storable_schema(schema: pa.Schema) -> pa.Schema:
    """Return the types that every Delta reader knows: microseconds, plain values, all nullable."""
    import pyarrow as pa

    def stored(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_dictionary(kind):
            return kind.value_type
        return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else kind

    return pa.schema([pa.field(one.name, stored(one.type)) for one in schema])


def _open(uri: str) -> DeltaTable | None:
    from deltalake import DeltaTable

    return open_table(uri) if DeltaTable.is_deltatable(place(uri)) else None


def create(uri: str, schema: pa.Schema, partition_by: list[str]) -> DeltaTable:
    """Create an empty table; if another writer was faster, the race for its first version is lost."""
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    DeltaTable.create(place(uri), schema=schema, mode="ignore", partition_by=partition_by, configuration=CONFIGURATION)
    delta = open_table(uri)
    if delta.version() > 0:
        raise CommitFailedError(uri)
    return delta


def require_same_types(uri: str, held: pa.Schema, new: pa.Schema) -> None:
    """Check that columns which a table has keep their type.

    Raises:
        ColumnTypeChanged: One has another type.
    """
    if held.equals(new):
        return
    before = _delta_types(held)
    for name, kind in _delta_types(new).items():
        if before.get(name, kind) != kind:
            raise ColumnTypeChanged(uri, name, found=_type_name(kind), required=_type_name(before[name]))


def _delta_types(schema: pa.Schema) -> dict[str, Any]:
    from deltalake import Schema

    return {one.name: one.type for one in Schema.from_arrow(storable_schema(schema)).fields}


def _type_name(kind: Any) -> str:
    return str(getattr(kind, "type", kind))


def arrow_schema(delta: DeltaTable) -> pa.Schema:
    """Return the columns of a table as Arrow names them."""
    import pyarrow as pa

    return pa.schema(delta.schema().to_arrow())
