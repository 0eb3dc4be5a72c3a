"""Upkeep of the lake as one op: it makes no data, so it is no asset."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mlops_assets.assets.metadata import table as markdown_table
from mlops_assets.resources.places import LakeResource

if TYPE_CHECKING:
    from mlops_assets.lake.maintenance import Upkeep


class MaintenanceConfig(dg.Config):
    """What a run of `lake_maintenance` may be told."""

    dry_run: bool = Field(default=False, description="Only list what would be done.")
    retention_days: int = Field(
        default=7,
        ge=0,
        description="How long files stay that only old versions need which no training set or view refers to. "
        "Longer than any run takes: a run reads on from the version that it opened.",
    )
    small_files: int = Field(
        default=8, ge=1, description="A window, or a table without windows, is rewritten if it has more small files."
    )


@dg.op(name="maintain_tables", out=dg.Out(dg.Nothing))
def maintain_tables(context: dg.OpExecutionContext, config: MaintenanceConfig, lake: LakeResource) -> None:
    """Put small files together and remove files that nobody needs, in every table of the lake."""
    done: list[Upkeep] = []
    for upkeep in maintain_lake(lake.root, config):
        (context.log.warning if upkeep.skipped else context.log.info)(str(upkeep))
        done.append(upkeep)
    context.add_output_metadata(_summary(done, dry_run=config.dry_run))


def maintain_lake(lake: str, config: MaintenanceConfig) -> "Iterator[Upkeep]":
    """Compact and vacuum each table; the versions that anything in the lake refers to stay readable.

    Raises:
        UnreadableManifest: A training set cannot say what it was made from; nothing was done.
    """
    from mlops_assets.features.live_versions import live_versions
    from mlops_assets.ingestion.live_versions import released_versions
    from mlops_assets.lake.maintenance import Policy, maintain

    retention = timedelta(days=config.retention_days)
    # Delta dates its commits by the wall clock, also in a replay whose own clock stands in the past.
    keep = live_versions(lake, since=datetime.now(UTC) - retention)
    for table, version in released_versions(lake):
        keep.setdefault(table, set()).add(version)
    return maintain(lake, keep, Policy(retention, small_files=config.small_files, dry_run=config.dry_run))


def _summary(done: "Sequence[Upkeep]", *, dry_run: bool) -> dict[str, dg.MetadataValue]:
    header = ("table", "compacted", "files before", "files removed", "versions kept", "left alone because")
    rows = [
        (one.table, len(one.compacted), sum(one.compacted.values()), len(one.removed), len(one.kept), one.skipped)
        for one in done
    ]
    return {
        "tables": markdown_table(header, rows),
        "compacted": dg.MetadataValue.int(sum(len(one.compacted) for one in done)),
        "removed_files": dg.MetadataValue.int(sum(len(one.removed) for one in done)),
        "dry_run": dg.MetadataValue.bool(dry_run),
    }
