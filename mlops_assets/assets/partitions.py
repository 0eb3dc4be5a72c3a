"""Our declaration of windows as Dagster's partitions, and a run's partitions as our windows."""

from datetime import UTC, datetime, time

import dagster as dg

from mlops_assets.contract.partitions import PartitionsSpec
from mlops_assets.lake.windows import Window

KINDS = {
    "hour": dg.HourlyPartitionsDefinition,
    "day": dg.DailyPartitionsDefinition,
    "week": dg.WeeklyPartitionsDefinition,
    "month": dg.MonthlyPartitionsDefinition,
}


def partitions_def(spec: PartitionsSpec) -> dg.TimeWindowPartitionsDefinition:
    """Return Dagster's definition of the declared windows, in UTC."""
    end = None if spec.end is None else datetime.combine(spec.end, time(), UTC)
    return KINDS[spec.every](start_date=datetime.combine(spec.start, time(), UTC), end_date=end)


def windows_of(context: dg.AssetExecutionContext) -> list[Window]:
    """Return the windows of this run, oldest first; none for an unpartitioned asset."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return []
    definition = context.assets_def.partitions_def
    assert isinstance(definition, dg.TimeWindowPartitionsDefinition)
    return [window_named(definition, key) for key in context.partition_keys]


def window_named(definition: dg.TimeWindowPartitionsDefinition, key: str) -> Window:
    """Return the window of a partition key."""
    span = definition.time_window_for_partition_key(key)
    return Window(key, span.start.astimezone(UTC), span.end.astimezone(UTC))


def window_of(context: dg.AssetExecutionContext) -> Window:
    """Return the one window of this run."""
    (window,) = windows_of(context)
    return window
