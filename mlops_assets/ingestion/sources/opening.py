"""Any kind of source as a dlt source whose resources are the tables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlops_assets.ingestion.rest_spec import RestApiSource
from mlops_assets.ingestion.source_spec import (
    ExternalSource,
    FeastSource,
    FilesystemSource,
    SqlDatabaseSource,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.ingestion.sources.reading import Reading


def open_source(reading: Reading) -> Any:
    """Return the dlt source of an Ingestion file; at most its columns are looked up, no row is read."""
    import dlt

    source = reading.spec.source
    if isinstance(source, str):
        return _python(source, reading)
    resources = _resources(source, reading)
    return dlt.source(lambda: resources, name=reading.spec.name)()


def _python(path: str, reading: Reading) -> Any:
    module, _, function = path.partition(":")
    make: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return make(reading.window.start, reading.window.end) if reading.window else make()


def _resources(
    source: RestApiSource | SqlDatabaseSource | FilesystemSource | FeastSource | ExternalSource, reading: Reading
) -> list[Any]:
    if isinstance(source, RestApiSource):
        from mlops_assets.ingestion.sources.rest import rest_resources

        return rest_resources(source, reading)
    if isinstance(source, SqlDatabaseSource):
        from mlops_assets.ingestion.sources.sql import sql_resources

        return sql_resources(source, reading)
    if isinstance(source, FilesystemSource):
        from mlops_assets.ingestion.sources.files import file_resources

        return file_resources(source, reading)
    if isinstance(source, FeastSource):
        from mlops_assets.ingestion.sources.feast import feast_resources

        return feast_resources(source, reading)
    raise TypeError(f"{reading.spec.name}: an external table is read in place, it has no rows to load")
