"""Retraining by the real daemon: an event becomes one run, and a run that was killed frees its place for the next."""

import dagster as dg
import pytest
from shop.deployment import JOB, TRAINING_WEEKS
from shop.location import Location, kill, until
from shop.world import week_start

from mlops_assets.assets.binding import EVENTS, REASON, VERDICT
from mlops_assets.automation.reconcile import reconcile
from mlops_assets.lake.state import open_state
from mlops_assets.retraining.events import Event, EventLog, new_event
from mlops_assets.rollout.routing import Routing, read_routing
from mlops_assets.settings import load_settings
from mlops_assets.training.mlflow_client import open_client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
WEAK = "training: {params: {n_estimators: 1, max_depth: 1}}"
STRONG = 'training: {estimator: "shop.slow:patient", params: {n_estimators: 40, max_depth: 3}}'


@pytest.fixture
def deployed(location: Location) -> Location:
    """Return a shop whose weak first version takes traffic; the next candidate will be better, and waits in training
    as long as the file `training_waits` is there.
    """
    shop = location.shop
    file = shop.defs / "returns" / "defs.yaml"
    declared = file.read_text()
    line = "training: {params: {n_estimators: 40, max_depth: 3}}"
    assert line in declared
    file.write_text(declared.replace(line, WEAK))
    shop.reload()
    shop.prepare()
    shop.replay.run(JOB)
    file.write_text(declared.replace(line, STRONG))
    return location


def open_event(location: Location) -> Event:
    event = new_event(
        "returns",
        version=1,
        kind="drift",
        window=location.shop.key(TRAINING_WEEKS - 1),
        subject="profile",
        reasons=("amount left its history in 2 of the last 3 windows",),
        evidence={"amount": 0.3},
        now=week_start(TRAINING_WEEKS),
    )
    assert log(location).open_event(event)
    return event


def log(location: Location) -> EventLog:
    return EventLog(open_state(location.shop.lake))


def the_event(location: Location) -> Event:
    (event,) = log(location).history("returns")
    return event


def routing(location: Location) -> Routing:
    return read_routing(open_state(location.shop.lake), "returns")[0]


def ticks(location: Location) -> int:
    (state,) = [one for one in location.instance.all_instigator_state() if one.name == "retraining"]
    found = location.instance.get_ticks(state.instigator_origin_id, state.selector_id)
    assert not [tick for tick in found if tick.error]
    return len([tick for tick in found if tick.end_timestamp])


def mlflow_runs(status: str) -> list[str]:
    client = open_client(load_settings().mlflow_uri)
    experiment = client.get_experiment_by_name("dev.returns")
    runs = client.search_runs([experiment.experiment_id])
    return [run.info.run_id for run in runs if run.info.status == status]


def test_a_drift_event_starts_one_run_which_closes_it(deployed: Location) -> None:
    event = open_event(deployed)
    deployed.start()

    until(lambda: not the_event(deployed).is_open, 120, why=deployed.log.read_text)
    (run,) = deployed.runs(JOB)
    seen = ticks(deployed)
    until(lambda: ticks(deployed) >= seen + 3)

    assert [one.run_id for one in deployed.runs(JOB)] == [run.run_id], "a later tick started another run"
    closed = the_event(deployed)
    assert (closed.verdict, closed.run_ids) == ("promoted", (run.run_id,))
    assert closed.closed_at == week_start(TRAINING_WEEKS), "events live by the deployment's clock"
    tags = deployed.run(run.run_id).tags
    assert tags[EVENTS] == event.id
    assert tags["dagster/run_key"] == f"{event.id}:1"
    assert tags[REASON] == event.reasons[0]
    assert tags[VERDICT] == "promoted"
    assert deployed.run(run.run_id).status is dg.DagsterRunStatus.SUCCESS
    assert routing(deployed).champion.version == 2
    assert routing(deployed).history[-1].reason == event.reasons[0]


def in_training(location: Location) -> str:
    """Start everything, and return the id of the sensor's run once its candidate is being fitted."""
    (location.folder / "training_waits").touch()
    open_event(location)
    location.start()
    until(lambda: mlflow_runs("RUNNING"), 120, why=location.log.read_text)
    (run,) = location.runs(JOB)
    assert location.run(run.run_id).status is dg.DagsterRunStatus.STARTED
    return run.run_id


def expect_second_attempt(location: Location, killed: str, abandoned: list[str]) -> None:
    """Wait for the next attempt; it succeeds, and nothing of the killed one was used."""
    until(lambda: not the_event(location).is_open, 150, why=location.log.read_text)
    first, second = location.runs(JOB)
    assert (first.run_id, location.run(killed).status) == (killed, dg.DagsterRunStatus.FAILURE)
    assert second.tags["dagster/run_key"] == f"{the_event(location).id}:2"
    until(lambda: location.run(second.run_id).is_finished)
    assert location.run(second.run_id).status is dg.DagsterRunStatus.SUCCESS
    assert the_event(location).verdict == "promoted"
    assert routing(location).champion.version == 2
    assert routing(location).champion.candidate_id not in abandoned
    assert not set(abandoned) & set(mlflow_runs("FINISHED"))


def test_a_run_killed_in_training_is_tried_again(deployed: Location) -> None:
    killed = in_training(deployed)
    abandoned = mlflow_runs("RUNNING")

    kill(deployed.worker(killed))
    (deployed.folder / "training_waits").unlink()

    expect_second_attempt(deployed, killed, abandoned)


def test_a_run_killed_with_its_code_server_is_tried_again(deployed: Location) -> None:
    killed = in_training(deployed)
    abandoned = mlflow_runs("RUNNING")
    worker = deployed.worker(killed)

    kill(worker.parent(), worker)
    (deployed.folder / "training_waits").unlink()
    until(lambda: deployed.run(killed).is_finished, why=deployed.log.read_text)
    deployed.reload()

    expect_second_attempt(deployed, killed, abandoned)


def test_a_run_killed_with_everything_is_closed_at_the_next_start_and_tried_again(deployed: Location) -> None:
    killed = in_training(deployed)
    abandoned = mlflow_runs("RUNNING")

    deployed.kill()
    (deployed.folder / "training_waits").unlink()
    assert deployed.run(killed).status is dg.DagsterRunStatus.STARTED
    assert reconcile(deployed.instance) == (killed,)
    deployed.start()

    expect_second_attempt(deployed, killed, abandoned)
