"""Runs close whatever happens, and never mix."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from mlops_assets.training.tracking import RunNotFound


class Interrupted(BaseException):
    """What Dagster raises into a step that is terminated: no Exception."""


def _status(tracking, run_id):
    return tracking.open_run(run_id).client.get_run(run_id).info.status


def test_a_run_that_ends_well_is_finished(tracking):
    with tracking.run("delay", tags={"dagster/run_id": "r1"}) as run:
        assert _status(tracking, run.run_id) == "RUNNING"
    assert _status(tracking, run.run_id) == "FINISHED"
    assert tracking.open_run(run.run_id).tags()["dagster/run_id"] == "r1"


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED"), (Interrupted, "KILLED")],
)
def test_a_run_that_is_stopped_is_closed_and_says_how(tracking, error, status):
    opened = []

    def work():
        with tracking.run("delay", tags={}) as run:
            opened.append(run)
            run.log_metrics({"before": 1.0})
            raise error

    with pytest.raises(error):
        work()
    (run,) = opened
    assert _status(tracking, run.run_id) == status
    assert run.client.get_run(run.run_id).data.metrics == {"before": 1.0}


@contextmanager
def stopping_a_read_of_runs():
    """Stop whoever reads runs from a database while rows are left to be read, which locks a file."""

    def stop(_connection, _cursor, statement, *_):
        if "FROM runs" in statement:
            raise Interrupted

    event.listen(Engine, "after_cursor_execute", stop)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", stop)


def test_a_run_that_is_stopped_while_it_reads_its_store_is_closed(tracking):
    opened = []

    def work():
        with tracking.run("delay", tags={}) as run:
            opened.append(run)
            with stopping_a_read_of_runs():
                run.log_metrics({"never": 1.0})

    with pytest.raises(Interrupted):
        work()
    (run,) = opened
    assert _status(tracking, run.run_id) == "KILLED"
    assert run.client.get_run(run.run_id).data.metrics == {}


def test_two_open_runs_of_one_process_never_mix(tracking):
    import mlflow

    with tracking.run("one", tags={"who": "one"}) as one, tracking.run("two", tags={"who": "two"}) as two:
        two.log_metrics({"of_two": 2.0})
        one.log_metrics({"of_one": 1.0})
        one.log_params({"depth": 1})
        two.log_params({"depth": 2})
        one.log_bytes("note.txt", b"one")
        assert mlflow.active_run() is None
    for run, metrics, depth in ((one, {"of_one": 1.0}, "1"), (two, {"of_two": 2.0}, "2")):
        data = run.client.get_run(run.run_id).data
        assert (data.metrics, data.params["depth"]) == (metrics, depth)
    assert (one.read_bytes("note.txt"), two.read_bytes("note.txt")) == (b"one", None)


def test_a_failing_run_does_not_stain_the_next(tracking):
    with pytest.raises(ZeroDivisionError), tracking.run("delay", tags={}) as first:
        first.log_metrics({"z": 1 / 0})
    with tracking.run("delay", tags={}) as second:
        second.log_metrics({"z": 1.0})
    assert first.run_id != second.run_id
    assert first.client.get_run(first.run_id).data.metrics == {}


def test_children_of_a_run_are_nested_and_closed_each_with_its_own_status(tracking):
    def fail():
        raise ZeroDivisionError

    with tracking.run("delay", tags={}) as parent:
        with parent.child("trial 0", tags={"trial": "0"}) as good:
            good.log_metrics({"auc": 0.5})
        with pytest.raises(ZeroDivisionError), parent.child("trial 1", tags={}) as bad:
            fail()
        assert _status(tracking, parent.run_id) == "RUNNING"
    assert [_status(tracking, run.run_id) for run in (parent, good, bad)] == ["FINISHED", "FINISHED", "FAILED"]
    info = good.client.get_run(good.run_id)
    assert (info.info.run_name, info.info.experiment_id) == ("trial 0", parent.experiment_id)
    assert (info.data.tags["mlflow.parentRunId"], info.data.tags["trial"]) == (parent.run_id, "0")
    assert info.data.metrics == {"auc": 0.5}
    assert good.url == parent.url.replace(parent.run_id, good.run_id)
    assert parent.client.get_run(parent.run_id).data.metrics == {}


def test_curves_keep_every_step_and_batches_pass_the_limits(tracking):
    with tracking.run("delay", tags={}) as run:
        run.log_metrics({"loss": [1 / (i + 1) for i in range(1500)], "auc": 0.7})
        run.log_params({f"p{i}": i for i in range(230)})
        run.set_tags({f"t{i}": str(i) for i in range(230)})
    history = run.client.get_metric_history(run.run_id, "loss")
    assert [point.step for point in history] == list(range(1500))
    assert history[9].value == pytest.approx(0.1)
    data = run.client.get_run(run.run_id).data
    assert len(data.params) == 230
    assert data.metrics["auc"] == 0.7
    assert data.tags["t229"] == "229"


def test_artefacts_are_plain_files_below_the_root(tracking, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.txt").write_text("a")
    with tracking.run("delay", tags={}) as run:
        run.log_folder(tmp_path / "model", "candidate")
        run.log_bytes("deep/er/b.bin", b"\x00b")
    again = tracking.open_run(run.run_id)
    assert Path(again.artifact_uri("candidate/a.txt")).read_text() == "a"
    assert again.artifact_uri("candidate").startswith(f"{tracking.artifact_root}/{tracking.env}.delay/")
    assert again.read_bytes("deep/er/b.bin") == b"\x00b"
    assert again.read_bytes("no/such") is None


def test_the_data_behind_a_run_is_an_input(tracking):
    with tracking.run("delay", tags={}) as run:
        run.log_dataset("training_set", digest="ab" * 32, uri="/lake/training_sets/delay/ab")
    (found,) = run.client.get_run(run.run_id).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("training_set", ("ab" * 32)[:36])


def test_a_run_that_does_not_exist(tracking):
    with pytest.raises(RunNotFound, match="MLflow run nothing: found no such run"):
        tracking.open_run("nothing")


def test_an_experiment_that_was_deleted_in_the_ui_comes_back(tracking):
    with tracking.run("delay", tags={}) as first:
        pass
    first.client.delete_experiment(first.experiment_id)
    with tracking.run("delay", tags={}) as second:
        pass
    assert (second.experiment_id, _status(tracking, second.run_id)) == (first.experiment_id, "FINISHED")


def test_links(tracking):
    with tracking.run("delay", tags={}) as run:
        pass
    assert run.url.startswith("http://127.0.0.1:5000/#/experiments/")
    assert run.url.endswith(f"/runs/{run.run_id}")


FIRST_USE = """
import sys, pathlib, time
from mlops_assets.training.tracking import Tracking
from mlops_assets.training.mlflow_client import open_client
import mlflow
folder, me = pathlib.Path(sys.argv[1]), sys.argv[2]
(folder / me).touch()
while len(list(folder.glob("p*"))) < 2:
    time.sleep(0.01)
with Tracking(f"sqlite:///{folder}/new/mlflow.db", "dev", f"{folder}/artifacts").run("delay", tags={"me": me}) as run:
    run.log_metrics({"x": 1.0})
"""


@pytest.mark.slow
def test_two_processes_meet_an_empty_folder(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", FIRST_USE, str(tmp_path), name], stderr=subprocess.PIPE, text=True)
        for name in ("p1", "p2")
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    with sqlite3.connect(tmp_path / "new" / "mlflow.db") as database:
        assert database.execute("select status from runs").fetchall() == [("FINISHED",)] * 2
        names = database.execute("select name from experiments where name like 'dev.%'").fetchall()
    assert names == [("dev.delay",)]


IN_THREADS = """
import importlib.util, sys, threading, time
from mlops_assets.training.mlflow_client import open_client
import mlflow
find = importlib.util.find_spec
meeting, found = threading.Barrier(2), []

def slow(*names):  # MLflow asks for SQLAlchemy when it has listed half of its model registries
    time.sleep(0.5)
    return find(*names)

def first():
    meeting.wait()
    found.append(list(open_client(sys.argv[1]).search_registered_models()))

importlib.util.find_spec = slow
threads = [threading.Thread(target=first) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert found == [[], []]
"""


@pytest.mark.slow
def test_two_threads_ask_the_registry_for_the_first_time_at_once(tmp_path):
    command = [sys.executable, "-c", IN_THREADS, f"sqlite:///{tmp_path}/mlflow.db"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


KILLED = """
import sys
from mlops_assets.training.tracking import Tracking
with Tracking(sys.argv[1], "dev", sys.argv[2]).run("killed", tags={}) as run:
    print(run.run_id, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_control_c_in_the_middle_closes_the_run(tracking):
    command = [sys.executable, "-c", KILLED, tracking.tracking_uri, tracking.artifact_root]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, text=True) as process:
        run_id = process.stdout.readline().strip()
        assert _status(tracking, run_id) == "RUNNING"
        process.send_signal(signal.SIGINT)
        process.wait()
    assert _status(tracking, run_id) == "KILLED"
