"""The table of one feature view."""

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.contract_checks import raw_key
from mlops_assets.assets.metadata import table
from mlops_assets.features.spec import FeatureViewSpec, definition_hash, read_sql
from mlops_assets.resources.places import LakeResource

if TYPE_CHECKING:
    import pyarrow as pa


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
    )
    def feature_view(lake: LakeResource) -> dg.MaterializeResult:
        from mlops_assets.features.refresh import refresh_view
        from mlops_assets.lake.tables import snapshot

        refreshed = refresh_view(spec, sql, lake=lake.root)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": refreshed.rows,
                "dagster/uri": refreshed.uri,
                "delta_version": refreshed.version,
                "dagster/column_schema": _columns(spec, snapshot(refreshed.uri, refreshed.version).schema),
                "sources": table(("raw table", "Delta version"), sorted(refreshed.source_versions.items())),
            }
        )

    return feature_view


def _columns(spec: FeatureViewSpec, schema: "pa.Schema") -> dg.TableSchema:
    prose = {name: column.description for name, column in spec.features.items()}
    return dg.TableSchema([dg.TableColumn(one.name, str(one.type), description=prose.get(one.name)) for one in schema])
