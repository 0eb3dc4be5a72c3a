"""Close the runs that an earlier `mlops up` left open: their process is gone, so nobody else ever will.

An open run holds its pool slots and keeps the retraining sensor waiting. While a code server lives it watches its own
run processes, and while the daemon lives it asks `launcher.py`; this is for when all of them went. Only runs of Dagster's default launcher are judged: the
process id of a run means nothing on another machine.
"""

import json
import socket

import dagster as dg
from dagster import DagsterEventType, DagsterRun, DagsterRunStatus, RunsFilter

from mlops_assets.training.owner import has_run_since

OPEN = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
GRPC_INFO_TAG = ".dagster/grpc_info"
GONE = "The process of this run is gone: it was killed, or this machine restarted. Launch the run again if needed."


def reconcile(instance: dg.DagsterInstance) -> tuple[str, ...]:
    """Mark the open runs whose process is gone as failed (or canceled); return their ids.

    Call it before the daemon starts: a run that is being launched at this moment could be taken for one that is gone.
    """
    if not isinstance(instance.run_launcher, dg.DefaultRunLauncher):
        return ()
    gone = [run for run in instance.get_runs(RunsFilter(statuses=OPEN)) if not _is_alive(instance, run)]
    for run in gone:
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message=GONE)
        else:
            instance.report_run_failed(run, message=GONE)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return tuple(run.run_id for run in gone)


def has_lost_its_process(instance: dg.DagsterInstance, run: DagsterRun) -> bool:
    """Return whether a run had a process on this machine that is gone; False for one that has none yet."""
    return _process_lives(instance, run) is False


def _is_alive(instance: dg.DagsterInstance, run: DagsterRun) -> bool:
    lives = _process_lives(instance, run)
    return _is_being_launched(run) if lives is None else lives


def _process_lives(instance: dg.DagsterInstance, run: DagsterRun) -> bool | None:
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT):
        pid = entry.get_dagster_event().engine_event_data.metadata.get("pid")
        if pid is not None:  # the first is the run's own process, later ones are those of its steps
            return has_run_since(int(str(pid.value)), entry.timestamp)
    return None


def _is_being_launched(run: DagsterRun) -> bool:
    """Return whether the code server that was asked to start the run still answers; it reports the run's end."""
    tag = run.tags.get(GRPC_INFO_TAG)
    if tag is None:
        return False
    server = json.loads(tag)
    is_local = server.get("socket") is not None
    address = server["socket"] if is_local else (server["host"], server["port"])
    with socket.socket(socket.AF_UNIX if is_local else socket.AF_INET) as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == 0
