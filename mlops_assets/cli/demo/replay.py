"""Run the code location's own jobs, schedules' windows and sensor in process, against the persistent instance.

What the daemon would do over a year, without waiting: the UI shows every run afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from mlops_assets.clock import SimulatedClock
from mlops_assets.errors import MlopsError

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class RunFailed(MlopsError):
    """A run of the replay failed where nothing but success makes sense."""

    def __init__(self, job: str, run_id: str, error: str) -> None:
        super().__init__(
            f"Run {run_id} of {job}",
            found=error,
            required="success",
            remedy="Mend the cause and run `mlops demo` again: it goes on where it stopped.",
        )


@dataclass
class Replay:
    """A code location that is driven by hand."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    clock: SimulatedClock
    _cursors: dict[str, str | None] = field(default_factory=dict[str, str | None], init=False)

    def run(
        self,
        job: str,
        *,
        partition: str | None = None,
        tags: Mapping[str, str] | None = None,
        only: Sequence[dg.AssetKey] | None = None,
        may_fail: bool = False,
    ) -> dg.ExecuteInProcessResult:
        """Run a job to its end.

        Args:
            only: Assets of the job to materialise; all by default.
            may_fail: A failed run is an answer (a rejected candidate), not an accident.

        Raises:
            RunFailed: The run failed and may not.
        """
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            tags=dict(tags or {}),
            asset_selection=only,
            run_config=QUIET,
            raise_on_error=False,
        )
        if not (result.success or may_fail):
            raise RunFailed(job, result.run_id, _first_error(result))
        return result

    def run_range(self, job: str, *, first: str, last: str) -> None:
        """Run a job once over a range of partitions, as a backfill with a single run does."""
        self.run(job, tags={"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last})

    def tick(self, sensor: str) -> list[dg.ExecuteInProcessResult]:
        """Evaluate a sensor once and run what it asks for, skipping run keys that ran before, as the daemon does."""
        definition = self.definitions.resolve_sensor_def(sensor)
        context = dg.build_sensor_context(
            instance=self.instance,
            definitions=self.definitions,
            resources=dict(self.definitions.resources or {}),
            cursor=self._cursors.get(sensor),
        )
        answer = definition.evaluate_tick(context)
        self._cursors[sensor] = answer.cursor
        return [self._launch(sensor, request) for request in answer.run_requests or [] if self._is_new(request)]

    def _launch(self, sensor: str, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        tags = {**request.tags, "dagster/sensor_name": sensor, "dagster/run_key": str(request.run_key)}
        return self.run(str(request.job_name), tags=tags, may_fail=True)

    def _is_new(self, request: dg.RunRequest) -> bool:
        keys = {"dagster/run_key": str(request.run_key)}
        return self.instance.get_runs_count(dg.RunsFilter(tags=keys)) == 0


def _first_error(result: dg.ExecuteInProcessResult) -> str:
    failures = [event for event in result.all_events if event.is_step_failure]
    if not failures:
        return "no step that says why"
    error = failures[0].step_failure_data.error
    cause = error.cause if error and error.cause else error
    return str(cause.message).strip() if cause else "no message"


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Return the plain metadata of an asset that a run materialised, by the last part of its key."""
    for event in result.get_asset_materialization_events():
        found = event.step_materialization_data.materialization
        if found.asset_key.path[-1] == asset:
            return {name: value.value for name, value in found.metadata.items()}
    return {}
