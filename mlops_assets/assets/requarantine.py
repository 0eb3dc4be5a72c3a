"""Rows in quarantine judged again, as a job of each source: it makes no data of its own, so it is no asset."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from mlops_assets.assets.metadata import table as markdown_table
from mlops_assets.assets.reconciliation import materialization
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from mlops_assets.ingestion.requarantine import Requarantined

SHOWN = ("table", "window", "released", "added", "kept", "broken rules")


class RequarantineConfig(dg.Config):
    """Which rows are judged again."""

    table: str | None = Field(default=None, description="One table of the source; none: all.")
    window: str | None = Field(default=None, description="Key of one window; none: all that have rows in quarantine.")


def requarantine_job(spec: IngestionSpec) -> dg.JobDefinition:
    """Return the job `<source>_requarantine`."""

    @dg.op(name=f"{spec.name}_release", out=dg.Out(dg.Nothing), description=f"Judge the rows of {spec.name} again.")
    def release(
        context: dg.OpExecutionContext, config: RequarantineConfig, lake: LakeResource, machine: MachineResource
    ) -> None:
        from mlops_assets.ingestion.requarantine import requarantine

        tables = [config.table] if config.table else list(spec.tables)
        now = machine.clock().now()
        done: list[Requarantined] = []
        for table in tables:
            done += requarantine(spec, table, window=config.window, lake=lake.root, now=now)
        for told in done:
            if told.added:
                context.log_event(materialization(spec.name, told.table, told.window, told.content, _metadata(told)))
        rows = [(one.table, one.window, one.released, one.added, one.kept, _rules(one)) for one in done]
        released = sum(one.released for one in done)
        context.add_output_metadata({"released": released, "rows": markdown_table(SHOWN, rows)})

    @dg.job(
        name=f"{spec.name}_requarantine",
        executor_def=dg.in_process_executor,
        description=f"Judge the rows of {spec.name} in quarantine by the contract of today, and publish those that pass.",
    )
    def job() -> None:
        release()

    return job


def _metadata(told: "Requarantined") -> dict[str, Any]:
    return {
        "dagster/row_count": told.total_rows,
        "dagster/uri": told.uri,
        "delta_version": told.version,
        "rows_released": told.released,
        "rows_added": told.added,
        "quarantined": told.kept,
    }


def _rules(told: "Requarantined") -> str:
    return ", ".join(f"{rule} {count}" for rule, count in told.broken.items())
