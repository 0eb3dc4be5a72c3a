"""Dagster's default launcher, able to say whether the process of a run still lives.

Run monitoring asks it, so that a run which was killed together with its code server ends as failed within a poll of the
monitor. The default launcher cannot tell, and such a run would hold its pool until `max_runtime_seconds`.
"""

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from mlops_assets.automation.reconcile import GONE, has_lost_its_process


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Launches runs as processes of this machine, and watches them."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if has_lost_its_process(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, GONE)
        return CheckRunHealthResult(WorkerStatus.RUNNING)
