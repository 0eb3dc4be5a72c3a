"""When a rollout wants a run."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.rollout import machine
from mlops_assets.rollout.due import due, next_look, standing, tick_name
from mlops_assets.rollout.evidence import Evidence
from mlops_assets.rollout.routing import Routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Queued, Rollout, Route

T0 = datetime(2024, 3, 4, 12, tzinfo=UTC)  # a Monday
SPEC = RolloutSpec(steps=["shadow", 100], interval_seconds=60, bake_minutes=10)
FROZEN = RolloutSpec(steps=[10, 100], freeze=[{"start": "0 12 * * 1", "hours": 2}])


def second(count: float) -> datetime:
    return T0 + timedelta(seconds=count)


def begun() -> Rollout:
    return machine.begin("churn", Route(1, "a", "/1"), Route(2, "b", "/2"), SPEC, number=1, now=T0, why="new")


def routing(rollout: Rollout | None, queued: Queued | None = None) -> Routing:
    return Routing("churn", Route(1, "a", "/1"), None, (), rollout=rollout, queued=queued)


@pytest.mark.parametrize("seconds", [0, 59.9])
def test_before_the_interval_nothing_is_due(seconds: float) -> None:
    assert due(routing(begun()), SPEC, now=second(seconds)) is None


def test_a_look_is_due_under_one_name_until_it_is_done() -> None:
    rollout = begun()

    assert [due(routing(rollout), SPEC, now=second(at)) for at in (60, 3600)] == ["churn-2-1:0"] * 2
    looked = machine.tick(rollout, Evidence(second(61), 0, 5), second(61))
    assert due(routing(looked), SPEC, now=second(120)) is None
    assert due(routing(looked), SPEC, now=next_look(looked)) == "churn-2-1:1"
    assert next_look(looked) == second(121)


def test_a_clock_that_was_set_back_does_not_keep_a_look_waiting() -> None:
    looked = machine.tick(begun(), Evidence(second(3600), 0, 5), second(3600))

    assert due(routing(looked), SPEC, now=second(3590)) == "churn-2-1:1"
    assert due(routing(looked), SPEC, now=second(3601)) is None


def test_a_rollout_goes_by_its_own_plan() -> None:
    hourly = SPEC.model_copy(update={"interval_seconds": 3600})

    assert due(routing(begun()), hourly, now=second(60)) == "churn-2-1:0"


@pytest.mark.parametrize("word", [machine.pause, machine.abort])
def test_a_paused_rollout_is_looked_at_and_an_ended_one_is_not(word) -> None:
    rollout = word(begun(), who="ann", why="no", now=second(1))

    assert (due(routing(rollout), SPEC, now=second(99)) is not None) == (rollout.phase == "paused")


def test_a_version_that_waits_is_due_when_nothing_stands_in_its_way() -> None:
    queued = Queued(Route(3, "c", "/3"), "", T0, "newer", "a freeze")

    assert due(routing(begun(), queued), SPEC, now=second(1)) is None
    assert due(routing(None, queued), FROZEN, now=second(1)) is None
    assert due(routing(None, queued), FROZEN, now=second(7200)) == "churn-3-queued-2024-03-04T12:00:00+00:00"


def test_every_state_has_a_name_of_its_own() -> None:
    rollout = begun()
    states = [
        rollout,
        machine.pause(rollout, who="", why="", now=T0),
        machine.abort(rollout, who="", why="", now=T0),
        replace(rollout, id="churn-3-1"),
        machine.tick(rollout, Evidence(T0, 0, 1), T0),
    ]

    assert len({standing(one) for one in states}) == len(states)
    assert tick_name(rollout) == "churn-2-1:0"
