"""The table of one feature view."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.contract_checks import raw_key
from mlops_assets.assets.metadata import numbers, table
from mlops_assets.components.catalog import Catalog
from mlops_assets.contract.names import HISTORY_COLUMNS, table_of
from mlops_assets.contract.spec import TableSpec
from mlops_assets.features.spec import FeatureViewSpec, definition_hash, read_sql
from mlops_assets.resources.places import LakeResource

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.features.refresh import Refreshed

LINEAGE = "dagster/column_lineage"
HISTORY_TYPES = dict(zip(HISTORY_COLUMNS, ("TIMESTAMPTZ", "INTEGER", "BOOLEAN"), strict=True))


class RefreshConfig(dg.Config):
    """Whether everything is computed, also where `lookback_days` says that less does."""

    full: bool = False


def tables_read(spec: FeatureViewSpec, catalog: Catalog) -> dict[str, TableSpec]:
    """Return what the files say about the raw tables that a view reads, by `source/table`.

    Raises:
        UnknownDefinition: The file of a source does not load.
    """
    names = [table_of(reference) for reference in spec.sources.values()]
    return {name: catalog.ingestion(name.split("/")[0]).spec.tables[name.split("/")[1]] for name in names}


def feature_view_asset(spec: FeatureViewSpec, folder: Path, tables: Mapping[str, TableSpec]) -> dg.AssetsDefinition:
    """Return `features/<view>`: the view's query over the raw tables as they are now.

    Args:
        folder: Folder of the file; its SQL path counts from here.
        tables: What the files say about the raw tables that it reads, by `source/table`.
    """
    sql = read_sql(spec.sql, base=folder)
    definition = definition_hash(spec, sql)

    @dg.asset(
        key=["features", spec.name],
        deps=[raw_key(name) for name in tables],
        group_name="features",
        owners=spec.owners,
        kinds={"duckdb", "deltalake"},
        code_version=definition[:16],
        description=f"{spec.description}\n\n```sql\n{sql}\n```",
    )
    def feature_view(config: RefreshConfig, lake: LakeResource) -> dg.MaterializeResult:
        from mlops_assets.features.refresh import refresh_view

        times = {name: declared.time_column for name, declared in tables.items()}
        refreshed = refresh_view(spec, sql, lake=lake.root, time_columns=times, full=config.full)
        metadata = {"definition": definition, **_refresh_metadata(spec, refreshed), **_lineage(spec, sql, tables)}
        return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(refreshed.data_version))

    return feature_view


def _refresh_metadata(spec: FeatureViewSpec, refreshed: "Refreshed") -> dict[str, Any]:
    from mlops_assets.lake.tables import snapshot

    rows = [
        (name, one.null_share, one.minimum, one.mean, one.maximum, one.distinct)
        for name, one in refreshed.statistics.items()
    ]
    start, reason = refreshed.scope.start, refreshed.scope.reason
    return {
        "dagster/row_count": refreshed.rows,
        "dagster/uri": refreshed.uri,
        "delta_version": refreshed.version,
        "dagster/column_schema": _columns(spec, snapshot(refreshed.uri, refreshed.version).schema),
        "sources": table(("raw table", "Delta version"), sorted(refreshed.source_versions.items())),
        "refresh": f"{refreshed.scope.mode}{f' from {start.isoformat()}' if start else ''}: {reason}",
        "committed": refreshed.is_new,
        "statistics": table(("feature", "null share", "min", "mean", "max", "distinct"), rows),
        **numbers({name: one.null_share for name, one in refreshed.statistics.items()}, prefix="null_share/"),
    }


def _columns(spec: FeatureViewSpec, schema: "pa.Schema") -> dg.TableSchema:
    prose = {name: column.description for name, column in spec.features.items()}
    return dg.TableSchema([dg.TableColumn(one.name, str(one.type), description=prose.get(one.name)) for one in schema])


def _lineage(spec: FeatureViewSpec, sql: str, tables: Mapping[str, TableSpec]) -> dict[str, Any]:
    """Return the columns that each column is made of, or why nobody can say."""
    from mlops_assets.features.lineage import trace

    declared = {
        name: {**one.columns, **(HISTORY_TYPES if one.publish == "history" else {})} for name, one in tables.items()
    }
    traced = trace(sql, columns=spec.columns, sources=spec.sources, declared=declared)
    if traced.problem is not None:
        return {"lineage": f"not traced: {traced.problem}"}
    deps = {
        name: [dg.TableColumnDep(raw_key(reference), column) for reference, column in origins]
        for name, origins in traced.columns.items()
    }
    return {LINEAGE: dg.TableColumnLineage(deps)}
