"""The job `lake_maintenance` and its schedule."""

import dagster as dg

from mlops_assets.assets.maintenance import maintain_tables

WEEKLY = "0 4 * * 0"  # UTC, when few runs write


@dg.job(name="lake_maintenance", executor_def=dg.in_process_executor)
def lake_maintenance() -> None:
    """Put small files together and remove files that no training set, view or recent reader needs."""
    maintain_tables()


def upkeep_automation() -> dg.Definitions:
    """Return the job and its schedule, which somebody switches on: it removes old versions that nobody refers to."""
    schedule = dg.ScheduleDefinition(
        name="lake_maintenance_schedule",
        job=lake_maintenance,
        cron_schedule=WEEKLY,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    return dg.Definitions(jobs=[lake_maintenance], schedules=[schedule])
