"""One run of a source through dlt into a folder of its own, and the rows back as Arrow.

Each run has a fresh working folder: two runs that share one load each other's packages.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.types import conform, dlt_type, empty
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.sources.failures import ResourceMissing, clearer, shown
from mlops_assets.ingestion.sources.opening import open_source
from mlops_assets.ingestion.sources.reading import Reading
from mlops_assets.ingestion.sources.secrets import Secrets
from mlops_assets.ingestion.sources.states import State, restore, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.ingestion.spec import IngestionSpec
    from mlops_assets.lake.windows import Window

DATASET = "staged"
FILE_FORMAT = "parquet"
TRACE = "trace.pickle"  # dlt's account of a run: it holds the messages of errors as they were
BEHIND_CURSOR = 1.05  # dlt puts a cursor at 1: it must see the source's own names


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


def stage(
    spec: IngestionSpec,
    tables: Sequence[str],
    *,
    window: Window | None,
    folder: Path,
    states: Mapping[str, State] | None = None,
    full: bool = False,
) -> Staged:
    """Run the source once and return its rows; its working folder below `folder` is kept only after a failure.

    Args:
        tables: Which of the declared tables.
        window: The span to read; None for a source without partitions. Windows have no cursor: states are for None.
        states: What the last good load of each table left in `Staged.states`; none: the first load. A table that
            is replaced by each load is always read whole.
        full: Read everything again, or as far back as `reconcile.look_back_days`, whatever the states say.

    Raises:
        ResourceMissing: The source lacks a table.
        SchemaChanged: A column arrives in another type than declared, or not at all.
        SecretMissing: A secret that the file names is nowhere to be found.
        SourceFailed: The source raised.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run_folder = Path(tempfile.mkdtemp(prefix=f"{spec.name}-", dir=folder))
    look_back = spec.reconcile.look_back_days if full else None
    reading = Reading(spec, tables, window, look_back or spec.lag_days, Secrets())
    known = {} if window or (full and not look_back) else _continued(spec, tables, states or {})
    try:
        with reading.secrets.out_of_logs():
            load_id, left = _run(reading, known, run_folder)
        staged = {name: _read(run_folder / DATASET / DATASET / name, spec.tables[name], name) for name in tables}
    except MlopsError:
        raise
    except Exception as error:  # noqa: BLE001  whatever a source raises is told as its failure
        for trace in run_folder.rglob(TRACE):
            trace.unlink()
        raise clearer(reading, error) from shown(reading, error)
    shutil.rmtree(run_folder, ignore_errors=True)
    kept = {} if window else _continued(spec, tables, left)
    return Staged(load_id, staged, kept, frozenset(tables) - set(known))


def _continued(spec: IngestionSpec, tables: Sequence[str], states: Mapping[str, State]) -> dict[str, State]:
    return {name: states[name] for name in tables if name in states and spec.tables[name].publish != "replace"}


def _run(reading: Reading, states: Mapping[str, State], folder: Path) -> tuple[str, dict[str, State]]:
    import dlt

    dlt.config["runtime.dlthub_telemetry"] = False  # nothing phones home
    source = _checked(open_source(reading), reading)
    pipeline = dlt.pipeline(
        reading.spec.name,
        destination=dlt.destinations.filesystem(str(folder / DATASET)),
        dataset_name=DATASET,
        pipelines_dir=str(folder / "pipelines"),
    )
    restore(pipeline, source, states)
    load_id = pipeline.run(source, loader_file_format=FILE_FORMAT).loads_ids[0]
    return load_id, taken(pipeline, source, reading.tables)


def _checked(source: Any, reading: Reading) -> Any:
    from dlt.extract.items_transform import MapItem

    class Door(MapItem):
        placement_affinity = BEHIND_CURSOR

    if missing := [name for name in reading.tables if name not in source.resources]:
        raise ResourceMissing(reading.spec, missing, list(source.resources))
    source.max_table_nesting = 0  # nested values stay in their row, as JSON
    for name in reading.tables:
        declared = reading.spec.tables[name]
        hints = {column: dlt_type(kind) for column, kind in declared.columns.items()}
        source.resources[name].apply_hints(columns=hints, schema_contract={"data_type": "freeze"})
        source.resources[name].add_step(Door(_door(name, declared, source.schema.naming.normalize_identifier)))
    return source.with_resources(*reading.tables)


def _door(name: str, spec: TableSpec, normalized: Callable[[str], str]) -> Callable[[Any], Any]:
    """Return the check of Arrow data before dlt writes it: dlt would let other types pass and fill absent columns."""
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
