"""Retraining by the real daemon: an event becomes one run, and a run that was killed frees its place for the next."""

import dagster as dg
import pytest
from shop.deployment import JOB, TRAINING_WEEKS
from shop.location import Location, kill
from shop.world import week_start

from mlops_assets.assets.binding import EVENTS, REASON, VERDICT
from mlops_assets.automation.reconcile import reconcile
from mlops_assets.lake.state import open_state
from mlops_assets.retraining.events import Event, EventLog, new_event
from mlops_assets.rollout.routing import Routing, read_routing
from mlops_assets.settings import load_settings
from mlops_assets.training.mlflow_client import open_client
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]
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
    shop.deploy()
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


def ticks(location: Location, *, failed: bool = False) -> int:
    """Count the sensor's looks that came to an end, or those that failed, as they do while its code server is dead."""
    (state,) = [one for one in location.instance.all_instigator_state() if one.name == "retraining"]
    found = location.instance.get_ticks(state.instigator_origin_id, state.selector_id)
    return len([tick for tick in found if tick.end_timestamp and bool(tick.error) == failed])


def mlflow_runs(status: str) -> set[str]:
    client = open_client(load_settings().mlflow_uri)
    experiment = client.get_experiment_by_name("dev.returns")
    runs = client.search_runs([experiment.experiment_id])
    return {run.info.run_id for run in runs if run.info.status == status}


def in_training(location: Location, abandoned: set[str]) -> str:
    """Return the id of the sensor's newest run once its candidate is being fitted; older fits were abandoned."""
    until(lambda: mlflow_runs("RUNNING") - abandoned, 120, why=location.log.read_text)
    run = location.runs(JOB)[-1]
    assert location.run(run.run_id).status is dg.DagsterRunStatus.STARTED
    return run.run_id


def wait_for_ticks(location: Location, count: int = 3) -> None:
    seen = ticks(location)
    until(lambda: ticks(location) >= seen + count)


def expect_one_more_attempt(location: Location, killed: list[str], abandoned: set[str]) -> None:
    """Wait for the next attempt; it succeeds, closes the event, and nothing of the killed ones was used."""
    until(lambda: not the_event(location).is_open, 150, why=location.log.read_text)
    runs = location.runs(JOB)
    assert [run.run_id for run in runs[:-1]] == killed
    assert {location.run(run).status for run in killed} == {dg.DagsterRunStatus.FAILURE}
    event, last = the_event(location), runs[-1].run_id
    assert [run.tags["dagster/run_key"] for run in runs] == [f"{event.id}:{number}" for number, _ in enumerate(runs, 1)]
    until(lambda: location.run(last).is_finished)
    assert location.run(last).status is dg.DagsterRunStatus.SUCCESS
    assert (event.verdict, set(event.run_ids)) == ("promoted", {run.run_id for run in runs})
    assert routing(location).champion.version == 2
    assert routing(location).champion.candidate_id not in abandoned
    assert not abandoned & mlflow_runs("FINISHED")


def test_an_event_is_one_run_at_a_time_until_one_comes_to_its_end_whatever_kills_the_others(deployed: Location) -> None:
    waits = deployed.folder / "training_waits"
    waits.touch()
    event = open_event(deployed)
    deployed.start()

    first = in_training(deployed, set())
    wait_for_ticks(deployed)
    assert ticks(deployed, failed=True) == 0
    assert [run.run_id for run in deployed.runs(JOB)] == [first], "a later tick started another run"
    tags = deployed.run(first).tags
    assert (tags[EVENTS], tags[REASON]) == (event.id, event.reasons[0])
    abandoned = mlflow_runs("RUNNING")
    kill(deployed.worker(first))

    second = in_training(deployed, abandoned)
    abandoned |= mlflow_runs("RUNNING")
    worker = deployed.worker(second)
    kill(worker.parent(), worker)  # with its code server
    waits.unlink()
    until(lambda: deployed.run(second).is_finished, why=deployed.log.read_text)
    deployed.reload()

    expect_one_more_attempt(deployed, [first, second], abandoned)
    closed, third = the_event(deployed), deployed.runs(JOB)[-1].run_id
    assert closed.closed_at == week_start(TRAINING_WEEKS), "events live by the deployment's clock"
    assert deployed.run(third).tags[VERDICT] == "promoted"
    assert routing(deployed).history[-1].reason == event.reasons[0]
    wait_for_ticks(deployed)
    assert deployed.runs(JOB)[-1].run_id == third, "a later tick started another run"


def test_a_run_killed_with_everything_is_closed_at_the_next_start_and_tried_again(deployed: Location) -> None:
    waits = deployed.folder / "training_waits"
    waits.touch()
    open_event(deployed)
    deployed.start()
    killed = in_training(deployed, set())
    abandoned = mlflow_runs("RUNNING")

    deployed.kill()
    waits.unlink()
    assert deployed.run(killed).status is dg.DagsterRunStatus.STARTED
    assert reconcile(deployed.instance) == (killed,)
    deployed.start()

    expect_one_more_attempt(deployed, [killed], abandoned)
