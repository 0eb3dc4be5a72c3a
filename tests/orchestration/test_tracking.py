"""MLflow runs of Dagster runs: apart from each other in one process and in several, and closed when a run is stopped."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from mlflow.entities import Run

from mlops_assets.resources.places import MlflowResource

LOCATION = """
import itertools, pathlib, time
import dagster as dg
from mlops_assets.resources.places import MlflowResource

@dg.asset
def candidate(context: dg.AssetExecutionContext, mlflow: MlflowResource) -> None:
    name = context.run.job_name
    with mlflow.tracking().run(name, tags={"dagster/run_id": context.run.run_id}) as run:
        steps = itertools.count()
        while pathlib.Path(%r).exists():
            run.log_metrics({f"of_{name}": next(steps)})
            time.sleep(0.05)

defs = dg.Definitions(
    assets=[candidate],
    jobs=[
        dg.define_asset_job("alone", [candidate], executor_def=dg.in_process_executor),
        dg.define_asset_job("by_step", [candidate], executor_def=dg.multiprocess_executor),
    ],
    resources={"mlflow": MlflowResource(tracking_uri=%r, env="dev", artifact_root="/nowhere")},
)
"""


@pytest.fixture
def mlflow(tmp_path: Path) -> MlflowResource:
    return MlflowResource(
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", env="dev", artifact_root=str(tmp_path / "runs")
    )


def test_two_dagster_runs_of_one_process_never_mix(mlflow: MlflowResource) -> None:
    mlflow.tracking().client()  # its tables: Alembic, which Dagster uses too, is not for two threads
    meeting = threading.Barrier(2, timeout=200)

    @dg.asset
    def candidate(context: dg.AssetExecutionContext, mlflow: MlflowResource) -> None:
        with mlflow.tracking().run("delay", tags={"dagster/run_id": context.run.run_id}) as run:
            for step in range(5):
                meeting.wait()
                run.log_metrics({f"of_{context.run.tags['number']}": step})
            if context.run.tags["number"] == "2":
                raise dg.Failure("as planned")

    def materialize(number: int) -> dg.ExecuteInProcessResult:
        tags = {"number": str(number)}
        return dg.materialize([candidate], resources={"mlflow": mlflow}, tags=tags, raise_on_error=False)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(materialize, (1, 2)))
    assert [result.success for result in results] == [True, False]
    found = {run.data.tags["dagster/run_id"]: run for run in runs(mlflow, "delay")}
    assert [found[result.run_id].data.metrics for result in results] == [{"of_1": 4.0}, {"of_2": 4.0}]
    assert [found[result.run_id].info.status for result in results] == ["FINISHED", "FAILED"]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").touch()
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_a_run_that_is_cancelled_or_killed_is_closed_and_no_other(
    instance: dg.DagsterInstance, mlflow: MlflowResource, tmp_path: Path
) -> None:
    file = tmp_path / "location.py"
    file.write_text(LOCATION % (str(file), mlflow.tracking_uri))
    target = PythonFileTarget(str(file), None, str(tmp_path), "tiny")
    with WorkspaceProcessContext(instance, target) as process, gone_in_the_end(file):
        ours: dict[str, str] = {}
        for job in ("alone", "by_step"):
            ours[job] = launch(instance, process, job)
        for job in ours:
            wait(lambda job=job: any(run.data.metrics for run in runs(mlflow, job)))
        before = {job: runs(mlflow, job)[0] for job in ours}
        assert [set(run.data.metrics) for run in before.values()] == [{"of_alone"}, {"of_by_step"}]

        instance.run_launcher.terminate(ours["by_step"])  # what the UI calls
        wait(lambda: ended(instance, ours["by_step"]))
        assert status(mlflow, "by_step") == "KILLED"
        assert mlflow.close_abandoned(instance) == ()
        assert status(mlflow, "alone") == "RUNNING"

        os.kill(int(before["alone"].data.tags["mlops/pid"]), signal.SIGKILL)
        wait(lambda: ended(instance, ours["alone"]))
        assert status(mlflow, "alone") == "RUNNING"
        assert mlflow.close_abandoned(instance) == (before["alone"].info.run_id,)
        assert status(mlflow, "alone") == "KILLED"


@contextmanager
def gone_in_the_end(file: Path) -> Iterator[None]:
    """Let the runs go on for as long as the test needs them, and no longer."""
    try:
        yield
    finally:
        file.unlink()


def launch(instance: dg.DagsterInstance, process: WorkspaceProcessContext, job: str) -> str:
    context = process.create_request_context()
    repository: Any = context.get_code_location("tiny").get_repositories()["__repository__"]
    remote = repository.get_full_job(job)
    plan = context.get_code_location("tiny").get_execution_plan(remote, {}, None, None, instance)
    run = instance.create_run(
        job_name=job,
        run_id=None,
        run_config={},
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags={},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=None,
        execution_plan_snapshot=plan.execution_plan_snapshot,
        job_snapshot=remote.job_snapshot,
        parent_job_snapshot=remote.parent_job_snapshot,
        asset_selection=None,
        asset_check_selection=None,
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=remote.get_remote_origin(),
        job_code_origin=remote.get_python_origin(),
        asset_graph=repository.asset_graph,
    )
    instance.launch_run(run.run_id, context)
    return run.run_id


def runs(mlflow: MlflowResource, model: str) -> list[Run]:
    client = mlflow.tracking().client()
    experiment = client.get_experiment_by_name(f"dev.{model}")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def status(mlflow: MlflowResource, model: str) -> str:
    (run,) = runs(mlflow, model)
    return run.info.status


def ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


def wait(condition: Callable[[], bool]) -> None:
    while not condition():  # the limit of every test ends it
        time.sleep(0.2)
