"""The full comparison of one source with its tables, as an asset: what came later than `lag_days`."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.contract_checks import raw_key
from mlops_assets.assets.ingestion import blocked_message, note_schema_changes, raw_metadata
from mlops_assets.assets.metadata import table as markdown_table
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from mlops_assets.ingestion.ingest import Published

DATA_VERSION = {"dagster/data_version_is_user_provided": "true"}
SHOWN = ("table", "window", "added", "changed", "vanished", "late", "set aside")


def reconciliation_key(source: str) -> dg.AssetKey:
    """Return the key of a source's comparison."""
    return dg.AssetKey(["reconciliation", source])


def reconciliation_asset(spec: IngestionSpec) -> dg.AssetsDefinition:
    """Return the asset `reconciliation/<source>`."""

    @dg.asset(
        key=reconciliation_key(spec.name),
        deps=[raw_key(f"{spec.name}/{table}") for table in spec.tables],
        description=f"What `{spec.name}` has now and its tables did not: read again, and published where it differs.",
        group_name="ingestion",
        kinds={"dlt", "deltalake"},
        owners=spec.owners,
    )
    def reconciliation(
        context: dg.AssetExecutionContext, lake: LakeResource, machine: MachineResource
    ) -> dg.MaterializeResult:
        from mlops_assets.ingestion.reconcile import reconcile

        scratch = machine.scratch(context.run.run_id)
        published = reconcile(spec, lake=lake.root, folder=scratch, now=machine.clock().now())
        shutil.rmtree(scratch, ignore_errors=True)
        note_schema_changes(context, spec, published)
        for part in published:
            if is_changed(part):
                context.log_event(materialization(spec.name, part.table, part.window, part.content, raw_metadata(part)))
        if blocked := [part for part in published if part.blocked]:
            raise dg.Failure("\n".join(blocked_message(spec.name, part) for part in blocked), allow_retries=False)
        return dg.MaterializeResult(metadata=_summary(published))

    return reconciliation


def is_changed(part: "Published") -> bool:
    """Return whether a window or table has other rows than before."""
    return not part.blocked and bool(part.added or part.changed or part.vanished)


def materialization(
    source: str, table: str, window: str | None, content: str | None, metadata: dict[str, Any]
) -> dg.AssetMaterialization:
    """Return the event that a raw table changed outside of its own asset."""
    tags = {**DATA_VERSION, "dagster/data_version": content} if content else {}
    return dg.AssetMaterialization(raw_key(f"{source}/{table}"), partition=window, metadata=metadata, tags=tags)


def _summary(published: Sequence["Published"]) -> dict[str, Any]:
    differing = [part for part in published if part.added or part.changed or part.vanished or part.late]
    rows = [
        (part.table, part.window, part.added, part.changed, part.vanished, part.late, part.quarantined_rows)
        for part in differing
    ]
    return {
        "compared": len(published),
        "rows_added": sum(part.added for part in published),
        "rows_changed": sum(part.changed for part in published),
        "rows_vanished": sum(part.vanished for part in published),
        "differences": markdown_table(SHOWN, rows),
    }
