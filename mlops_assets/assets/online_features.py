"""The online rows of one feature view."""

from pathlib import Path

import dagster as dg

from mlops_assets.features.spec import FeatureViewSpec, definition_hash, read_sql
from mlops_assets.resources.places import LakeResource, MachineResource, OnlineResource

GROUP = "online_features"


def online_key(view: str) -> dg.AssetKey:
    """Return the key of a view's online rows."""
    return dg.AssetKey([GROUP, view])


def online_features_asset(spec: FeatureViewSpec, folder: Path) -> dg.AssetsDefinition:
    """Return `online_features/<view>`: the newest usable row of each entity, as `features/<view>` has it now."""
    sql = read_sql(spec.sql, base=folder)

    @dg.asset(
        key=online_key(spec.name),
        deps=[dg.AssetKey(["features", spec.name])],
        group_name=GROUP,
        owners=spec.owners,
        code_version=definition_hash(spec, sql)[:16],
        description=f"The newest usable row of each entity of `features/{spec.name}`, in the online store.",
    )
    def online_features(lake: LakeResource, online: OnlineResource, machine: MachineResource) -> dg.MaterializeResult:
        from mlops_assets.features.definition import View
        from mlops_assets.features.online.materialise import materialise

        done = materialise(View(spec, sql), lake=lake.root, store=online.store(), now=machine.clock().now())
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": done.entities,
                "written": done.written,
                "removed": done.removed,
                "is_rebuild": done.is_rebuild,
                "delta_version": done.source_version,
            }
        )

    return online_features
