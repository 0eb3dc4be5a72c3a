"""What `mlops check` can find out beyond the schema: SQL that does not bind, files that are missing or that nothing loads.

Queries are bound against empty tables of the declared columns, so a wrong name is found before any data is read.
"""

import importlib.util
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlops_assets.components.catalog import COMPONENT_FILES, Catalog, Entry, component_files
from mlops_assets.components.findings import Finding
from mlops_assets.components.schema import ModelSpec
from mlops_assets.contract.names import HISTORY_COLUMNS, is_current, table_of
from mlops_assets.features.spec import OUTCOME, SqlFileMissing, read_sql
from mlops_assets.ingestion.spec import IngestionSpec

if TYPE_CHECKING:
    import duckdb

HISTORY_TYPES = dict(zip(HISTORY_COLUMNS, ("TIMESTAMPTZ", "INTEGER", "BOOLEAN"), strict=True))


def inspect_catalog(catalog: Catalog) -> Iterator[Finding]:
    """Yield the findings that need an engine, the file system or the Python path."""
    for ingestion in catalog.ingestions.values():
        yield from _imports(ingestion)
    for view in catalog.views.values():
        yield from _query(view, ("sql",), view.spec.sql, view.spec.sources, view.spec.columns, catalog)
    for model in catalog.models.values():
        spine = model.spec.spine
        yield from _query(
            model, ("spine", "sql"), spine.sql, spine.sources, _spine_columns(model.spec, catalog), catalog
        )
        yield from _request_file(model)
    yield from _unloaded(catalog)


def _imports(entry: Entry[IngestionSpec]) -> Iterator[Finding]:
    """Yield a finding for each Python path of a file whose module is not there."""
    paths = {
        ("tables", name, "python", "schema"): table.python.schema_
        for name, table in entry.spec.tables.items()
        if table.python
    }
    if isinstance(entry.spec.source, str):
        paths = {("source",): entry.spec.source, **paths}
    for place, path in paths.items():
        module, _, attribute = path.partition(":")
        if not _is_importable(module):
            required = "a module that can be imported from the project's root"
            yield entry.finding(place, found=repr(module), required=required, remedy=f"Write `{attribute}` there.")


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _spine_columns(spec: ModelSpec, catalog: Catalog) -> list[str]:
    entities = [column for view in spec.views if view in catalog.views for column in catalog.views[view].spec.entity]
    partitions = [] if catalog.findings else [catalog.partitions_of(spec)[1].column]
    return list(dict.fromkeys([*spec.spine.keys, *entities, *spec.request.inputs, *partitions, *OUTCOME]))


def _query(
    entry: Entry, place: tuple[str, ...], sql: str, sources: Mapping[str, str], columns: list[str], catalog: Catalog
) -> Iterator[Finding]:
    try:
        text = read_sql(sql, base=entry.folder)
    except SqlFileMissing as error:
        yield entry.finding(place, found=error.found, required=error.required, remedy=error.remedy)
        return
    if any(reference.split("/")[0] not in catalog.ingestions for reference in sources.values()):
        return  # already a finding of the catalogue
    yield from _bind(entry, place, text, _empty_tables(sources, catalog), columns)


def _empty_tables(sources: Mapping[str, str], catalog: Catalog) -> "duckdb.DuckDBPyConnection":
    from mlops_assets.lake.engine import connect

    con = connect()
    for alias, reference in sources.items():
        if table_of(reference).split("/")[1] in catalog.ingestions[reference.split("/")[0]].spec.tables:
            columns = ", ".join(f'"{name}" {kind}' for name, kind in _columns(reference, catalog).items())
            con.execute(f'create table "{alias}" ({columns})')
    return con


def _columns(reference: str, catalog: Catalog) -> dict[str, str]:
    """Return the columns that a query sees: of a table with history also those of its versions, unless it asks for one."""
    declared = catalog.table(reference)
    has_versions = declared.publish == "history" and not is_current(reference)
    return {**declared.columns, **HISTORY_TYPES} if has_versions else dict(declared.columns)


def _bind(
    entry: Entry, place: tuple[str, ...], text: str, con: "duckdb.DuckDBPyConnection", columns: list[str]
) -> Iterator[Finding]:
    import duckdb

    try:
        found = [row[0] for row in con.execute(f"describe {text}").fetchall()]
    except duckdb.Error as error:
        message = " ".join(str(error).split())
        yield entry.finding(
            place, found=message, required="one query that DuckDB can bind", remedy="Correct the query."
        )
        return
    missing = [column for column in columns if column not in found]
    if missing:
        yield entry.finding(
            place,
            found=f"the columns {', '.join(found)}",
            required=f"also {', '.join(missing)}",
            remedy="Select the missing columns.",
        )


def _request_file(entry: Entry[ModelSpec]) -> Iterator[Finding]:
    name = entry.spec.request.file
    if name is not None and not (entry.folder / name).is_file():
        yield entry.finding(
            ("request", "file"),
            found=f"no file {entry.folder / name}",
            required="a Python file that defines `request_features`",
            remedy="Correct the path; it counts from the folder of the YAML.",
        )


def _unloaded(catalog: Catalog) -> Iterator[Finding]:
    loaded = set(component_files(catalog.root))
    for file in sorted(path for pattern in ("*.yaml", "*.yml") for path in catalog.root.rglob(pattern)):
        if file not in loaded:
            required = f"`{COMPONENT_FILES[0]}` in a folder of its own, with no such file in a folder above"
            remedy = f"Move it to {file.parent / file.stem / COMPONENT_FILES[0]}, or remove it."
            yield Finding(file, 1, "file", "a YAML file that Dagster does not load", required, remedy)
