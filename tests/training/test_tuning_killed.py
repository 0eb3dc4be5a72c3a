"""A search that is killed goes on where it was, and ends as one that was not."""

import os
import signal
import subprocess
import sys

import optuna
import pytest
from training.tuned import STUDY, WHOLE, storage_in, tune

from mlops_assets.training.tracking import Tracking
from mlops_assets.training.tuning_study import StudyInUse, held_study, was_killed
from tests.conftest import ROOT

TRIALS = WHOLE["trials"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tracking_uri):
    """A search of its own that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    return tune(storage_in(folder), Tracking(tracking_uri, "whole", str(folder)), WHOLE)


def killed_search(folder, tracking_uri, call, count):
    command = [sys.executable, "-m", "training.tuned", str(folder), tracking_uri, call, str(count)]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stderr


def trials_in(folder):
    return optuna.load_study(study_name=STUDY, storage=storage_in(folder)).trials


def states(trials):
    return [trial.state.name for trial in trials]


def nested(tracking):
    """Return the status of each trial's run, of all runs of the candidate."""
    client = tracking.client()
    experiment = client.get_experiment_by_name(f"{tracking.env}.delay").experiment_id
    found = client.search_runs([experiment], "tags.`mlops/trial` != ''", max_results=1000)
    return {run.info.run_id: run.info.status for run in found}


@pytest.mark.slow
def test_a_search_that_was_killed_twice_ends_as_one_that_ran_through(whole, tmp_path, tracking_uri):
    tracking = Tracking(tracking_uri, "killed", str(tmp_path / "artifacts"))
    told = killed_search(tmp_path, tracking_uri, "report", 30)  # after a rung of Hyperband was noted
    after_one = trials_in(tmp_path)
    (left_open,) = [run for run, status in nested(tracking).items() if status == "RUNNING"]
    killed_search(tmp_path, tracking_uri, "ask", 7)  # before the trial has a slot
    after_two = trials_in(tmp_path)
    resumed = tune(storage_in(tmp_path), tracking, WHOLE)
    trials = trials_in(tmp_path)

    assert states(after_one).count("RUNNING") == states(after_two).count("RUNNING") == 1
    assert 0 < len(after_one) < len(after_two) < TRIALS + 2
    assert resumed.decided == whole.decided
    assert resumed.recipe == whole.recipe
    assert nested(tracking)[left_open] == "KILLED"
    assert list(nested(tracking).values()).count("FINISHED") == TRIALS
    assert [trial.number for trial in trials if was_killed(trial)] == [len(after_one) - 1, len(after_two) - 1]
    assert "RUNNING" not in states(trials)
    assert len(trials) == TRIALS + 2
    assert len(resumed.children) == TRIALS + 2 - len(after_two)
    assert "PRUNED" in states(trials)
    assert "finished with value" not in told
    assert "ExperimentalWarning" not in told


def test_more_trials_in_the_file_go_on_with_the_same_study(whole, tmp_path, tracking):
    first = tune(storage_in(tmp_path), tracking, {**WHOLE, "trials": 5})
    more = tune(storage_in(tmp_path), tracking, WHOLE)
    again = tune(storage_in(tmp_path), tracking, WHOLE)

    assert [trial["trial"] for trial in first.trials] == [0, 1, 2, 3, 4]
    assert len(more.children) == TRIALS - 5
    assert more.decided == again.decided == whole.decided
    assert again.children == []


def test_one_process_at_a_time_searches_in_a_study(tmp_path, tracking):
    storage = storage_in(tmp_path)
    with held_study(storage, STUDY, direction="maximize"), pytest.raises(StudyInUse, match="Wait for the other run"):
        tune(storage, tracking, WHOLE)
