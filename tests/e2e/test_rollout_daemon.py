"""A rollout by the real daemon, whose run worker, and then everything, is killed in the middle of a look."""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg
import pytest
from shop.location import Location, kill
from shop.rolling import JOB, SHARES, expect_agreement, roll, routing_of

from mlops_assets.assets.binding import STANDING
from mlops_assets.automation.reconcile import reconcile
from mlops_assets.rollout.due import standing
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]


def looks(location: Location) -> list[dg.DagsterRun]:
    """Return the runs that the clock of rollouts has started, oldest first; each time it is a minute later."""
    clock = location.shop.replay.clock
    clock.set(clock.now() + timedelta(minutes=1))
    expect_agreement(routing_of(location.shop))
    tags = {"dagster/sensor_name": "rollouts"}
    return list(reversed(location.instance.get_runs(dg.RunsFilter(job_name=JOB, tags=tags))))


def in_a_look(location: Location, known: int) -> Callable[[], dg.DagsterRun | None]:
    """Return what finds a run that is under way now, after as many others."""

    def found() -> dg.DagsterRun | None:
        runs = looks(location)[known:]
        return next((run for run in runs if run.status is dg.DagsterRunStatus.STARTED), None)

    return found


def shown(location: Location) -> bool:
    """Tell whether the asset's page shows the end of the rollout."""
    looks(location)
    rollout = routing_of(location.shop).rollout
    event = location.instance.get_latest_materialization_event(dg.AssetKey(["returns", "rollout"]))
    if rollout.is_active or event is None:
        return False
    return event.asset_materialization.metadata[STANDING].value == standing(rollout)


def test_a_rollout_goes_on_after_its_worker_and_then_everything_was_killed(location: Location) -> None:
    roll(location.shop)
    location.start()

    run = until(in_a_look(location, 0), 120, why=location.log.read_text)
    kill(location.worker(run.run_id))
    expect_agreement(routing_of(location.shop))
    until(lambda: location.run(run.run_id).is_finished, why=location.log.read_text)

    run = until(in_a_look(location, 1), 120, why=location.log.read_text)
    location.kill()
    expect_agreement(routing_of(location.shop))
    assert run.run_id in reconcile(location.instance) or location.run(run.run_id).is_finished
    location.start()

    until(lambda: shown(location), 200, why=location.log.read_text)
    routing = routing_of(location.shop)
    shares = [entry.challenger.share if entry.challenger else None for entry in routing.history]
    assert shares == [None, *SHARES, None]
    assert (routing.rollout.phase, routing.rollout.ticks) == ("promoted", len(SHARES))
    expect_keys_without_a_gap([run.tags["dagster/run_key"] for run in looks(location)], len(SHARES))


def expect_keys_without_a_gap(keys: list[str], ticks: int) -> None:
    """Every look has its attempts, counted from 1; what was killed has a later run, for the same look or the next."""
    attempts: dict[int, list[int]] = {}
    for key in keys:
        name, tick, attempt = key.split(":")
        assert name == "returns-2-1"
        attempts.setdefault(int(tick), []).append(int(attempt))
    assert all(found == list(range(1, len(found) + 1)) for found in attempts.values())
    assert set(range(ticks)) <= set(attempts) <= set(range(ticks + 1))
