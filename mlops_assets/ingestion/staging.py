"""One run of a source through dlt into a folder of its own, and the rows back as Arrow.

Each run has a fresh working folder: two runs that share one load each other's packages.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.types import SchemaChanged, conform, dlt_type, empty
from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.windows import Window

State = dict[str, Any]  # of one table: JSON, and nobody's business but dlt's
DATASET = "staged"
FILE_FORMAT = "parquet"


class SourceFailed(MlopsError):
    """The source raised an error of its own."""

    def __init__(self, spec: IngestionSpec, window: Window | None, cause: BaseException) -> None:
        of = f" for {window.key}" if window else ""
        super().__init__(
            f"Source {spec.name} ({spec.source}){of}",
            found=f"{type(cause).__name__}: {cause}",
            required="rows, or nothing",
            remedy="Nothing was published. Mend the source (its traceback is above), then run again.",
        )


class ResourceMissing(MlopsError):
    """The source has no resource for a declared table."""

    def __init__(self, spec: IngestionSpec, missing: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(
            f"Source {spec.name} ({spec.source})",
            found=f"the resources {', '.join(known) or 'none'}",
            required=f"also {', '.join(missing)}",
            remedy="Name the tables in the Ingestion file after the dlt resources.",
        )


@dataclass(frozen=True)
class Staged:
    """What a source delivered.

    Attributes:
        load_id: dlt's name of the load.
        tables: Rows by table, in declared types; a table without rows has its declared columns.
        states: Where each table's cursor stands; to be kept with the rows. A table without a cursor has none.
        complete: Tables that were read whole: a key that is not among the rows is no longer at the source.
    """

    load_id: str
    tables: dict[str, pa.Table]
    states: dict[str, State] = field(default_factory=dict)
    complete: frozenset[str] = frozenset()


def stage(  # noqa: PLR0913  three say what, three say how
    spec: IngestionSpec,
    tables: Sequence[str],
    *,
    window: Window | None,
    folder: Path,
    states: Mapping[str, State] | None = None,
    full: bool = False,  # noqa: ARG001  the cursors of sources come next
) -> Staged:
    """Run the source once and return its rows; its working folder below `folder` is kept only after a failure.

    Args:
        tables: Which of the declared tables.
        window: Handed to the source as (start, end); None calls it with nothing.
        states: What the last good load of each table left in `Staged.states`; none: the first load.
        full: Read everything again, or as far back as `reconcile.look_back_days`, whatever the states say.

    Raises:
        ResourceMissing: The source lacks a table.
        SchemaChanged: A column arrives in another type than declared, or not at all.
        SourceFailed: The source raised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run_folder = Path(tempfile.mkdtemp(prefix=f"{spec.name}-", dir=folder))
    try:
        load_id = _run(spec, tables, window, run_folder)
        staged = {name: _read(run_folder / DATASET / DATASET / name, spec.tables[name], name) for name in tables}
    except MlopsError:
        raise
    except Exception as error:
        raise _clearer(spec, window, error) from error
    shutil.rmtree(run_folder, ignore_errors=True)
    return Staged(load_id, staged, dict(states or {}), frozenset(tables))


def _run(spec: IngestionSpec, tables: Sequence[str], window: Window | None, folder: Path) -> str:
    import dlt

    dlt.config["runtime.dlthub_telemetry"] = False  # nothing phones home
    source = _source(spec, tables, window)
    pipeline = dlt.pipeline(
        spec.name,
        destination=dlt.destinations.filesystem(str(folder / DATASET)),
        dataset_name=DATASET,
        pipelines_dir=str(folder / "pipelines"),
    )
    return pipeline.run(source, loader_file_format=FILE_FORMAT).loads_ids[0]


def _source(spec: IngestionSpec, tables: Sequence[str], window: Window | None) -> Any:
    module, _, function = str(spec.source).partition(":")
    make: Callable[..., Any] = getattr(importlib.import_module(module), function)
    source = make(window.start, window.end) if window else make()
    if missing := [name for name in tables if name not in source.resources]:
        raise ResourceMissing(spec, missing, list(source.resources))
    source.max_table_nesting = 0  # nested values stay in their row, as JSON
    for name in tables:
        declared = spec.tables[name]
        hints = {column: dlt_type(kind) for column, kind in declared.columns.items()}
        source.resources[name].apply_hints(columns=hints, schema_contract={"data_type": "freeze"})
        source.resources[name].add_map(_door(name, declared, source.schema.naming.normalize_identifier))
    return source.with_resources(*tables)


def _door(name: str, spec: TableSpec, normalized: Callable[[str], str]) -> Callable[[Any], Any]:
    """Return the check of Arrow data before dlt sees it: dlt would let other types pass and fill absent columns."""
    import pyarrow as pa

    def checked(item: Any) -> Any:
        if isinstance(item, pa.RecordBatch):
            item = pa.Table.from_batches([item])
        if not isinstance(item, pa.Table):
            return item
        return conform(item.rename_columns([normalized(c) for c in item.column_names]), spec.columns, name=name)

    return checked


def _read(folder: Path, spec: TableSpec, name: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    parts = [parquet.ParquetFile(file).read() for file in sorted(folder.glob(f"*.{FILE_FORMAT}"))]
    if not parts:
        return empty(spec.columns)
    return conform(pa.concat_tables(parts, promote_options="permissive"), spec.columns, name=name)


def _clearer(spec: IngestionSpec, window: Window | None, error: Exception) -> MlopsError:
    from dlt.common.schema.exceptions import DataValidationError

    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, MlopsError):
            return cause
        if isinstance(cause, DataValidationError):
            return _schema_changed(spec, cause)
    return SourceFailed(spec, window, causes[-1])


def _schema_changed(spec: IngestionSpec, error: Any) -> SchemaChanged:
    column, _, found = error.column_name.partition("__v_")  # dlt's name for a value of another type
    value = (error.data_item or {}).get(error.column_name)
    declared = spec.tables[error.table_name].columns.get(column, "no such type")
    return SchemaChanged(error.table_name, column, found=f"{value!r} of type {found}", required=declared)


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
