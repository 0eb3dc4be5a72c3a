"""Raw and quarantine tables of one source, with its contract as checks."""

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.partitions import partitions_def, windows_of
from mlops_assets.contract.checks import check_names
from mlops_assets.contract.spec import IngestionSpec
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from mlops_assets.contract.audit import Finding
    from mlops_assets.contract.ingest import Published

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def raw_key(reference: str) -> dg.AssetKey:
    """Return the asset key of a table written as `<source>/<table>`."""
    return dg.AssetKey(["raw", *reference.split("/")])


def ingestion_assets(spec: IngestionSpec) -> dg.AssetsDefinition:
    """Return the assets `raw/<source>/<table>` and `quarantine/<source>/<table>` of one source."""
    windows = partitions_def(spec.partitions) if spec.partitions else None

    @dg.multi_asset(
        name=f"{spec.name}_tables",
        specs=[one for table in spec.tables for one in _asset_specs(spec, table)],
        check_specs=[one for table in spec.tables for one in _check_specs(spec, table, windows)],
        partitions_def=windows,
        backfill_policy=dg.BackfillPolicy.single_run() if windows else None,
        can_subset=True,
    )
    def tables(context: dg.AssetExecutionContext, lake: LakeResource, machine: MachineResource) -> Events:
        from mlops_assets.contract.ingest import ingest

        scratch = machine.scratch(context.run_id)
        published = ingest(
            spec,
            _selected_tables(context, spec),
            windows=windows_of(context),
            lake=lake.root,
            folder=scratch,
            now=machine.clock().now(),
        )
        shutil.rmtree(scratch, ignore_errors=True)
        yield from _events(context, spec, published)

    return tables


def _asset_specs(spec: IngestionSpec, table: str) -> Iterator[dg.AssetSpec]:
    declared = spec.tables[table]
    common = {"owners": spec.owners, "skippable": True}
    yield dg.AssetSpec(
        raw_key(f"{spec.name}/{table}"),
        description=declared.description,
        group_name="ingestion",
        kinds={"dlt", "deltalake"},
        **common,
    )
    yield dg.AssetSpec(
        dg.AssetKey(["quarantine", spec.name, table]),
        description=f"Rows of `{spec.name}/{table}` that broke a rule of the contract, with the names of the rules.",
        group_name="quarantine",
        kinds={"deltalake"},
        **common,
    )


def _check_specs(
    spec: IngestionSpec, table: str, windows: dg.PartitionsDefinition | None
) -> Iterator[dg.AssetCheckSpec]:
    for name, severity in check_names(spec.tables[table]):
        yield dg.AssetCheckSpec(
            name, asset=raw_key(f"{spec.name}/{table}"), blocking=severity == "block", partitions_def=windows
        )


def _selected_tables(context: dg.AssetExecutionContext, spec: IngestionSpec) -> list[str]:
    selected = {key.path[-1] for key in context.selected_asset_keys}
    return [table for table in spec.tables if table in selected]


def _events(context: dg.AssetExecutionContext, spec: IngestionSpec, published: Sequence["Published"]) -> Events:
    by_table = {one.table: [other for other in published if other.table == one.table] for one in published}
    for table, parts in by_table.items():
        key = raw_key(f"{spec.name}/{table}")
        yield from _check_results(key, parts)
        if any(part.blocked for part in parts):
            continue
        for part in parts:
            context.add_asset_metadata(_metadata(part), asset_key=key, partition_key=part.window)
        yield dg.MaterializeResult(asset_key=key)
    blocked = [part for part in published if part.blocked]
    if blocked:
        raise dg.Failure(description="\n".join(map(_blocked_message, blocked)), allow_retries=False)
''' '''
