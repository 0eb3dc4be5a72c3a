"""Runs whose process is gone, on a real instance with real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster import DagsterRunStatus
from dagster._core.events import EngineEventData
from dagster._core.test_utils import create_run_for_test

from mlops_assets.automation.reconcile import reconcile

EXECUTE = """
import os, sys, time
import dagster as dg

@dg.op(pool="scarce")
def wait():
    time.sleep(600)

@dg.job
def long():
    wait()

with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    long.execute_in_process(instance=instance)
"""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 1}}")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def running(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that executes a run, and the id of that run once it is in its step."""
    process = subprocess.Popen([sys.executable, "-c", EXECUTE, str(tmp_path)])
    while not _is_waiting(instance):
        assert process.poll() is None
        time.sleep(0.2)
    yield process, instance.get_runs()[0].run_id
    process.kill()
    process.wait()


def _is_waiting(instance: dg.DagsterInstance) -> bool:
    return any(instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START) for run in instance.get_runs())


def status(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_that_goes_on_is_left_alone_and_one_that_was_killed_is_closed(
    instance: dg.DagsterInstance, running: tuple[subprocess.Popen[bytes], str]
) -> None:
    process, run_id = running
    instance.event_log_storage.set_concurrency_slots("scarce", 1)
    instance.event_log_storage.claim_concurrency_slot("scarce", run_id, "wait")

    assert reconcile(instance) == ()
    assert status(instance, run_id) is DagsterRunStatus.STARTED

    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # gone, though its parent has not looked yet

    assert reconcile(instance) == (run_id,)
    assert status(instance, run_id) is DagsterRunStatus.FAILURE
    assert instance.event_log_storage.get_concurrency_info("scarce").active_run_ids == set()
    assert reconcile(instance) == ()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (DagsterRunStatus.STARTING, DagsterRunStatus.FAILURE),
        (DagsterRunStatus.STARTED, DagsterRunStatus.FAILURE),
        (DagsterRunStatus.CANCELING, DagsterRunStatus.CANCELED),
        (DagsterRunStatus.NOT_STARTED, DagsterRunStatus.NOT_STARTED),
        (DagsterRunStatus.SUCCESS, DagsterRunStatus.SUCCESS),
    ],
)
def test_only_runs_that_ought_to_have_a_process_are_closed(
    instance: dg.DagsterInstance, state: DagsterRunStatus, expected: DagsterRunStatus
) -> None:
    run = create_run_for_test(instance, job_name="long", status=state)

    assert reconcile(instance) == ((run.run_id,) if expected is not state else ())
    assert status(instance, run.run_id) is expected


def test_a_younger_process_with_the_same_number_is_not_the_run(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process id is used again in time; a process that began after the run's first event cannot be the run."""
    run = create_run_for_test(instance, job_name="long", status=DagsterRunStatus.STARTED)
    instance.report_engine_event("Started process", run, EngineEventData.in_process(os.getpid()))
    assert reconcile(instance) == ()

    monkeypatch.setattr(psutil.Process, "create_time", lambda _: time.time() + 60)

    assert reconcile(instance) == (run.run_id,)


def over_socket(folder: Path) -> tuple[socket.socket, dict[str, object]]:
    path = folder / "code-server"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    return server, {"host": "localhost", "socket": str(path)}


def over_port(_: Path) -> tuple[socket.socket, dict[str, object]]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, {"host": "localhost", "port": server.getsockname()[1]}


@pytest.mark.parametrize("listen", [over_socket, over_port])
def test_a_run_that_a_living_code_server_is_starting_is_left_to_it(
    instance: dg.DagsterInstance,
    tmp_path: Path,
    listen: Callable[[Path], tuple[socket.socket, dict[str, object]]],
) -> None:
    server, grpc_info = listen(tmp_path)
    tags = {".dagster/grpc_info": json.dumps(grpc_info)}
    run = create_run_for_test(instance, job_name="long", status=DagsterRunStatus.STARTING, tags=tags)

    with server:
        assert reconcile(instance) == ()

    assert reconcile(instance) == (run.run_id,)


def test_runs_of_another_launcher_are_none_of_ours(tmp_path: Path) -> None:
    launcher = "run_launcher: {module: dagster._core.test_utils, class: MockedRunLauncher}"
    (tmp_path / "dagster.yaml").write_text(launcher)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        create_run_for_test(instance, job_name="long", status=DagsterRunStatus.STARTED)

        assert reconcile(instance) == ()
