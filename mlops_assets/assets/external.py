"""Raw and quarantine tables of an external source: the tables stay where they are, the contract is the same."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.contract_checks import contract_check_results, contract_check_specs, raw_key
from mlops_assets.assets.ingestion import Events, asset_specs, blocked_message, quarantine_metadata
from mlops_assets.assets.metadata import link
from mlops_assets.assets.partitions import partitions_def, windows_of
from mlops_assets.errors import MlopsError
from mlops_assets.ingestion.source_spec import ExternalSource, ExternalTable
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.uris import is_local, local_path
from mlops_assets.resources.places import LakeResource, MachineResource
from mlops_assets.settings import find_root

if TYPE_CHECKING:
    from mlops_assets.ingestion.outcome import Published

URI = "dagster/uri"
KINDS = {"delta": "deltalake", "parquet": "parquet"}


class PlaceUnknown(MlopsError):
    """Nobody says where an external table is."""

    def __init__(self, reference: str, asset: str, *, found: str) -> None:
        super().__init__(
            f"raw/{reference}",
            found=found,
            required=f"`{URI}` in the metadata of the newest materialisation of {asset}",
            remedy=f"Materialise {asset}, let it report `{URI}`, or write `uri:` in the Ingestion file.",
        )


def external_assets(spec: IngestionSpec) -> list[dg.AssetsDefinition]:
    """Return the assets `raw/<source>/<table>` and `quarantine/<source>/<table>` of an external source, table by table."""
    return [_table_assets(spec, table) for table in spec.tables]


def _table_assets(spec: IngestionSpec, table: str) -> dg.AssetsDefinition:
    windows = partitions_def(spec.partitions) if spec.partitions else None
    described = _described(spec, table)

    @dg.multi_asset(
        name=f"{spec.name}__{table}",
        specs=list(_specs(spec, table, described)),
        check_specs=list(contract_check_specs(spec, table, windows)),
        partitions_def=windows,
        backfill_policy=dg.BackfillPolicy.single_run() if windows else None,
        can_subset=True,
    )
    def external(context: dg.AssetExecutionContext, lake: LakeResource, machine: MachineResource) -> Events:
        from mlops_assets.ingestion.external import read_in_place
        from mlops_assets.ingestion.quality_page import quality_page

        published = read_in_place(
            spec,
            table,
            _place(context, f"{spec.name}/{table}", described),
            windows=windows_of(context),
            lake=lake.root,
            load_id=context.run.run_id,
            now=machine.clock().now(),
        )
        page = link(quality_page(lake.root, spec, table))
        yield from _events(context, spec.name, table, published, page=page)

    return external


def _described(spec: IngestionSpec, table: str) -> ExternalTable:
    assert isinstance(spec.source, ExternalSource)  # the component asks for no other
    return spec.source.tables[table]


def _specs(spec: IngestionSpec, table: str, described: ExternalTable) -> Iterator[dg.AssetSpec]:
    raw, quarantine = asset_specs(spec, table)
    deps = [dg.AssetKey(described.asset.split("/"))] if described.asset else []
    yield raw.replace_attributes(deps=deps, kinds={KINDS[described.format]})
    yield quarantine.replace_attributes(deps=deps)


def _place(context: dg.AssetExecutionContext, reference: str, described: ExternalTable) -> str:
    """Return where the table is; a relative path counts from the project's root.

    Raises:
        PlaceUnknown: The file does not say, and neither does the asset that writes it.
    """
    uri = described.uri
    if uri is None:
        assert described.asset is not None  # the file gives one of the two
        event = context.instance.get_latest_materialization_event(dg.AssetKey(described.asset.split("/")))
        if event is None or event.asset_materialization is None:
            raise PlaceUnknown(reference, described.asset, found="no materialisation")
        value = event.asset_materialization.metadata.get(URI)
        if value is None:
            raise PlaceUnknown(reference, described.asset, found=f"a materialisation without `{URI}`")
        uri = str(value.value)
    return str(find_root(Path.cwd()) / local_path(uri)) if is_local(uri) else uri


def _events(
    context: dg.AssetExecutionContext,
    source: str,
    table: str,
    published: Sequence["Published"],
    *,
    page: dg.MetadataValue,
) -> Events:
    raw, quarantine = raw_key(f"{source}/{table}"), dg.AssetKey(["quarantine", source, table])
    yield from contract_check_results(context, raw, published)
    if blocked := [part for part in published if part.blocked]:
        reasons = "\n".join(blocked_message(source, part) for part in blocked)
        raise dg.Failure(description=reasons, allow_retries=False)
    asked = {window.key for window in windows_of(context)} or {
        None
    }  # others were judged again; they have no partition here
    parts = [part for part in published if part.window in asked]
    describe = {raw: _raw_metadata, quarantine: quarantine_metadata}
    for key in [key for key in describe if key in context.selected_asset_keys]:
        context.add_asset_metadata({"quality_page": page}, asset_key=key)
        for part in parts:
            context.add_asset_metadata(describe[key](part), asset_key=key, partition_key=part.window)
        yield dg.MaterializeResult(asset_key=key, data_version=_data_version(parts) if key == raw else None)


def _data_version(parts: Sequence["Published"]) -> dg.DataVersion:
    """Return what the rows are, however their owner keeps them."""
    return dg.DataVersion(hashlib.sha256(" ".join(str(part.content) for part in parts).encode()).hexdigest())


def _raw_metadata(part: "Published") -> dict[str, Any]:
    return {
        "dagster/row_count": part.rows,
        URI: part.uri,
        "pointer": part.version,
        "schema_changes": part.schema_changes,
        "quarantined": part.quarantined_rows,
        "content": part.content,
    }
