"""Raw and quarantine tables of one source, with its contract as checks."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.contract_checks import contract_check_results, contract_check_specs, raw_key
from mlops_assets.assets.metadata import link
from mlops_assets.assets.metadata import table as markdown_table
from mlops_assets.assets.partitions import partitions_def, windows_of
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from mlops_assets.ingestion.ingest import Published

Events = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def ingestion_assets(spec: IngestionSpec) -> dg.AssetsDefinition:
    """Return the assets `raw/<source>/<table>` and `quarantine/<source>/<table>` of one source."""
    windows = partitions_def(spec.partitions) if spec.partitions else None

    @dg.multi_asset(
        name=f"{spec.name}_tables",
        specs=[one for table in spec.tables for one in asset_specs(spec, table)],
        check_specs=[one for table in spec.tables for one in contract_check_specs(spec, table, windows)],
        partitions_def=windows,
        backfill_policy=dg.BackfillPolicy.single_run() if windows else None,
        can_subset=True,
    )
    def tables(context: dg.AssetExecutionContext, lake: LakeResource, machine: MachineResource) -> Events:
        from mlops_assets.ingestion.ingest import ingest

        scratch = machine.scratch(context.run.run_id)
        published = ingest(
            spec,
            _selected_tables(context, spec),
            windows=windows_of(context),
            lake=lake.root,
            folder=scratch,
            now=machine.clock().now(),
        )
        shutil.rmtree(scratch, ignore_errors=True)
        note_schema_changes(context, spec, published)
        yield from _events(context, spec, published, lake.root)

    return tables


def asset_specs(spec: IngestionSpec, table: str) -> Iterator[dg.AssetSpec]:
    """Yield the assets of one table: what is published, and what is set aside."""
    declared = spec.tables[table]
    yield dg.AssetSpec(
        raw_key(f"{spec.name}/{table}"),
        description=declared.description,
        group_name="ingestion",
        kinds={"dlt", "deltalake"},
        owners=spec.owners,
        skippable=True,
        freshness_policy=_freshness(spec, table),
    )
    yield dg.AssetSpec(
        dg.AssetKey(["quarantine", spec.name, table]),
        description=f"Rows of `{spec.name}/{table}` that broke a rule of the contract, with the names of the rules.",
        group_name="quarantine",
        kinds={"deltalake"},
        owners=spec.owners,
        skippable=True,
    )


def _freshness(spec: IngestionSpec, table: str) -> dg.FreshnessPolicy | None:
    """Return how Dagster shows a late table; it reads the wall clock, so a source that has ended has none."""
    days = spec.tables[table].freshness_days
    if days is None or (spec.partitions is not None and spec.partitions.end is not None):
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))


def _selected_tables(context: dg.AssetExecutionContext, spec: IngestionSpec) -> list[str]:
    selected = {key.path[-1] for key in context.selected_asset_keys}
    return [table for table in spec.tables if table in selected]


def _events(
    context: dg.AssetExecutionContext, spec: IngestionSpec, published: Sequence["Published"], lake: str
) -> Events:
    from mlops_assets.ingestion.quality_page import quality_page

    pages: dict[str, dg.MetadataValue] = {}
    for table in dict.fromkeys(one.table for one in published):
        parts = [one for one in published if one.table == table]
        key = raw_key(f"{spec.name}/{table}")
        pages[table] = link(quality_page(lake, spec, table))
        yield from contract_check_results(context, key, parts)
        if not any(part.blocked for part in parts):
            yield from _materializations(context, spec.name, parts, page=pages[table])
    if blocked := [part for part in published if part.blocked]:
        raise dg.Failure(
            description="\n".join(blocked_message(spec.name, part) for part in blocked),
            metadata={f"quality_page_{part.table}": pages[part.table] for part in blocked},
            allow_retries=False,
        )


def _materializations(
    context: dg.AssetExecutionContext, source: str, parts: Sequence["Published"], *, page: dg.MetadataValue
) -> Iterator[dg.MaterializeResult]:
    table = parts[0].table
    describe = {
        raw_key(f"{source}/{table}"): raw_metadata,
        dg.AssetKey(["quarantine", source, table]): quarantine_metadata,
    }
    for key in [key for key in describe if key in context.selected_asset_keys]:
        context.add_asset_metadata({"quality_page": page}, asset_key=key)
        for part in parts:
            context.add_asset_metadata(describe[key](part), asset_key=key, partition_key=part.window)
        is_raw = key.path[0] == "raw"
        yield dg.MaterializeResult(asset_key=key, data_version=data_version(parts) if is_raw else None)


def data_version(parts: Sequence["Published"]) -> dg.DataVersion:
    """Return the identity of the rows: of one window, or of all windows of a range, which Dagster versions as one."""
    contents = [str(part.content) for part in parts]
    return dg.DataVersion(contents[0] if len(contents) == 1 else sha256("\0".join(contents).encode()).hexdigest())


def raw_metadata(part: "Published") -> dict[str, Any]:
    """Return what the UI shows of a window or table that was published."""
    return {
        "dagster/row_count": part.rows if part.total_rows is None else part.total_rows,
        "dagster/uri": part.uri,
        "load_id": part.load_id,
        "delta_version": part.version,
        "content": part.content,
        "rows_added": part.added,
        "rows_changed": part.changed,
        "rows_vanished": part.vanished,
        "rows_late": part.late,
        "schema_changes": part.schema_changes,
        "quarantined": part.quarantined_rows,
    }


def note_schema_changes(
    context: dg.AssetExecutionContext, spec: IngestionSpec, published: Sequence["Published"]
) -> None:
    """Log an observation of the raw table for each window that brought columns which nobody declared."""
    for part in published:
        if part.schema_changes:
            columns = ", ".join(f"{name} {kind}" for name, kind in part.schema_changes.items())
            observation = dg.AssetObservation(
                raw_key(f"{spec.name}/{part.table}"),
                partition=part.window,
                description=f"The source brought columns that nobody declared: {columns}.",
                metadata={"schema_changes": part.schema_changes, "load_id": part.load_id},
            )
            context.log_event(observation)


def quarantine_metadata(part: "Published") -> dict[str, Any]:
    """Return what the UI shows of the rows set aside."""
    broken = [(one.rule, one.failed) for one in part.findings if one.severity == "quarantine" and one.failed]
    return {
        "dagster/row_count": part.quarantined_rows,
        "dagster/uri": part.quarantine_uri,
        "load_id": part.load_id,
        "rules": markdown_table(("rule", "rows"), broken),
    }


def blocked_message(source: str, part: "Published") -> str:
    """Return why a window was not published, and what to do."""
    broken = "; ".join(
        f"{one.rule}: {one.detail}" for one in part.findings if one.severity == "block" and not one.passed
    )
    window = f", window {part.window}" if part.window else ""
    return (
        f"raw/{source}/{part.table}{window}: blocked by {broken}. The table is as it was; the rows are judged in "
        f"{part.quarantine_uri}. Mend the source or the rule, then materialise again."
    )
