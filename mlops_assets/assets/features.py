"""The table of one feature view."""

from pathlib import Path

import dagster as dg

from mlops_assets.assets.ingestion import raw_key
from mlops_assets.assets.metadata import table
from mlops_assets.features.spec import FeatureViewSpec, definition_hash, read_sql
from mlops_assets.resources.places import LakeResource


def feature_view_asset(spec: FeatureViewSpec, folder: Path) -> dg.AssetsDefinition:
    """Return `features/<view>`: the view's query over the raw tables as they are now."""
    sql = read_sql(spec.sql, base=folder)

    @dg.asset(
        key=["features", spec.name],
        deps=[raw_key(reference) for reference in spec.sources.values()],
        group_name="features",
        owners=spec.owners,
        kinds={"duckdb", "deltalake"},
        code_version=definition_hash(spec, sql)[:16],
        description=f"{spec.description}\n\n```sql\n{sql}\n```",
        metadata={"dagster/column_schema": _columns(spec)},
    )
    def feature_view(lake: LakeResource) -> dg.MaterializeResult:
        from mlops_assets.features.compute import refresh_view

        refreshed = refresh_view(spec, sql, lake=lake.root)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": refreshed.rows,
                "dagster/uri": refreshed.uri,
                "delta_version": refreshed.version,
                "sources": table(("raw table", "Delta version"), sorted(refreshed.source_versions.items())),
            }
        )

    return feature_view


def _columns(spec: FeatureViewSpec) -> dg.TableSchema:
    prose = {name: column.description for name, column in spec.features.items()}
    return dg.TableSchema([dg.TableColumn(name, description=prose.get(name)) for name in spec.columns])
