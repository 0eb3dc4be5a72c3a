"""A run whose process was killed is closed by whoever comes next, and no other run is."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from mlops_assets.training.owner import DAGSTER_RUN, HOST, PID, STARTED, close_abandoned, owner_tags

OPEN = """
import sys
from mlops_assets.training.tracking import Tracking
with Tracking(sys.argv[1], sys.argv[2], sys.argv[3]).run("delay", tags={}) as run, run.child("trial", tags={}) as child:
    print(run.run_id, child.run_id, flush=True)
    sys.stdin.read()
"""


def _status(tracking, run_id):
    return tracking.client().get_run(run_id).info.status


def _never(_):
    return False


@pytest.mark.slow
def test_what_a_killed_process_left_open_is_closed_and_a_living_one_is_let_alone(tracking):
    command = [sys.executable, "-c", OPEN, tracking.tracking_uri, tracking.env, tracking.artifact_root]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        tracking.run("delay", tags={}) as ours,
    ):
        assert process.stdout
        left = process.stdout.readline().split()
        assert close_abandoned(tracking, has_ended=_never) == ()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert [_status(tracking, run_id) for run_id in left] == ["RUNNING", "RUNNING"]
        assert close_abandoned(tracking, has_ended=_never, model="other") == ()
        assert set(close_abandoned(tracking, has_ended=_never, model="delay")) == set(left)
        assert [_status(tracking, run_id) for run_id in left] == ["KILLED", "KILLED"]
        assert close_abandoned(tracking, has_ended=_never) == ()
        assert _status(tracking, ours.run_id) == "RUNNING"


def _opened(tracking, **tags):
    """Open a run that nobody closes, of an owner that differs from this process in `tags`."""
    with tracking.run("delay", tags={}) as some:
        pass
    client = tracking.client()
    return client.create_run(some.experiment_id, tags={**owner_tags(), **tags}).info.run_id


def test_a_younger_process_of_the_same_number_is_another_one(tracking):
    left = _opened(tracking, **{STARTED: "1000.0"})
    assert close_abandoned(tracking, has_ended=_never) == (left,)


def test_a_run_of_another_machine_waits_for_the_end_of_its_dagster_run(tracking):
    left = _opened(tracking, **{HOST: f"not-{socket.gethostname()}", PID: "1", STARTED: "1000.0", DAGSTER_RUN: "r1"})
    assert close_abandoned(tracking, has_ended=_never) == ()
    assert close_abandoned(tracking, has_ended={"r1"}.__contains__) == (left,)
    assert _status(tracking, left) == "KILLED"


def test_a_run_of_nobody_is_let_alone(tracking):
    with tracking.run("delay", tags={}) as some:
        pass
    left = tracking.client().create_run(some.experiment_id).info.run_id
    assert close_abandoned(tracking, has_ended=lambda _: True) == ()
    tracking.client().set_terminated(left)


def test_runs_of_another_environment_are_let_alone(tracking):
    left = _opened(tracking, **{STARTED: "1000.0"})
    other = type(tracking)(tracking.tracking_uri, tracking.env[:-1], tracking.artifact_root)
    assert close_abandoned(other, has_ended=lambda _: True) == ()
    assert close_abandoned(tracking, has_ended=_never) == (left,)
