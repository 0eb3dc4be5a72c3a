"""The job `lake_maintenance`: what it may be told, and what it says."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import ValidationError

from mlops_assets.automation.upkeep import lake_maintenance, upkeep_automation
from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.tables import read, snapshot
from mlops_assets.resources.places import LakeResource


@pytest.fixture
def table(tmp_path: Path) -> str:
    uri = f"{tmp_path}/raw/shop/orders"
    for number in range(10):
        rows = pa.table({"id": [number]})
        commit(uri, lambda _, rows=rows: Write(rows, adds=True))
    return uri


def run(folder: Path, **config: object) -> dict[str, dg.MetadataValue]:
    settings = {"ops": {"maintain_tables": {"config": config}}}
    result = lake_maintenance.execute_in_process(
        resources={"lake": LakeResource(root=str(folder))}, run_config=settings
    )
    (done,) = [event for event in result.all_node_events if event.event_type_value == "STEP_OUTPUT"]
    return {name: one.value for name, one in done.event_specific_data.metadata.items()}


def test_it_compacts_what_is_crowded_and_leaves_old_files_for_a_week(tmp_path, table):
    before = read(table)
    said = run(tmp_path)
    assert (said["compacted"], said["removed_files"], said["dry_run"]) == (1, 0, False)
    assert "| raw/shop/orders | 1 | 10 | 0 | 0 |" in said["tables"]
    assert len(snapshot(table).files) == 1
    assert read(table).equals(before)


def test_a_dry_run_changes_nothing(tmp_path, table):
    version = snapshot(table).version
    assert run(tmp_path, dry_run=True, small_files=3)["compacted"] == 1
    assert snapshot(table).version == version


def test_without_retention_what_the_compaction_replaced_goes_at_once(tmp_path, table):
    assert run(tmp_path, retention_days=0)["removed_files"] == 10
    assert sorted(read(table)["id"].to_pylist()) == list(range(10))


def test_a_negative_retention_is_refused(tmp_path):
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        run(tmp_path, retention_days=-1)


def test_the_weekly_schedule_waits_for_somebody_to_switch_it_on():
    (schedule,) = upkeep_automation().schedules
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    ticks = schedule.cron_schedule
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2024, 1, 7, 4, tzinfo=UTC))
    (request,) = schedule.evaluate_tick(context).run_requests
    assert (ticks, request.run_config) == ("0 4 * * 0", {})
