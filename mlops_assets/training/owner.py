"""Which process a run of MLflow belongs to, and what becomes of a run whose process is gone."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient
    from mlflow.entities import Run

    from mlops_assets.training.tracking import Tracking

HOST, PID, STARTED, DAGSTER_RUN = "mlops/host", "mlops/pid", "mlops/process_started", "dagster/run_id"


def owner_tags() -> dict[str, str]:
    """Name this process so that another one can tell whether it still runs."""
    started = psutil.Process().create_time()
    return {HOST: socket.gethostname(), PID: str(os.getpid()), STARTED: f"{started:.2f}"}


def has_run_since(pid: int, timestamp: float) -> bool:
    """Return whether the process lives and is older than `timestamp`: a younger one only got the same number."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= timestamp + 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def close_abandoned(
    tracking: Tracking, *, has_ended: Callable[[str], bool], model: str | None = None
) -> tuple[str, ...]:
    """Close as KILLED the runs of this environment that nobody will close any more; return their ids.

    That is a run whose process was on this machine and is gone, or whose Dagster run has ended. One of another machine
    is left alone until its Dagster run has ended.

    Args:
        has_ended: Whether a Dagster run is known and over.
        model: Look at its runs only.
    """
    client = tracking.client()
    abandoned = [run for run in _running(client, tracking.env, model) if _is_abandoned(run, has_ended)]
    for run in abandoned:
        client.set_terminated(run.info.run_id, "KILLED")
    return tuple(run.info.run_id for run in abandoned)


def _running(client: MlflowClient, env: str, model: str | None) -> Iterator[Run]:
    prefix = f"{env}."
    for experiment in client.search_experiments():
        token = None
        while experiment.name.startswith(prefix) and model in (None, experiment.name.removeprefix(prefix)):
            page = client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'", page_token=token)
            yield from page
            token = page.token
            if not token:
                break


def _is_abandoned(run: Run, has_ended: Callable[[str], bool]) -> bool:
    tags = run.data.tags
    if tags.get(HOST) == socket.gethostname() and not has_run_since(int(tags[PID]), float(tags[STARTED])):
        return True
    return DAGSTER_RUN in tags and has_ended(tags[DAGSTER_RUN])
