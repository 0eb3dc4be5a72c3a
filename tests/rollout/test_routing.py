"""Routing over the real store, with several processes writing at once."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lake.state import LocalState, open_state
from mlops_assets.registry.errors import NoSuchVersion, NotDeployable
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card, known_card, withdraw
from mlops_assets.rollout.errors import NoPreviousVersion, NotRouted, UnknownRoutingSchema
from mlops_assets.rollout.routing import (
    Route,
    Routed,
    Routing,
    champion_at,
    read_routing,
    routed_at,
    routed_models,
    routing_key,
)
from mlops_assets.rollout.traffic import give_all_traffic, restore_previous

T0 = datetime(2013, 4, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def route(version: int) -> Route:
    return Route(version, f"run{version}", f"/models/{version}")


def deploy(state: LocalState, *versions: int) -> None:
    for week, version in enumerate(versions):
        give_all_traffic(state, "churn", route(version), now=T0 + week * WEEK, reason=f"approved {version}")


@pytest.fixture
def state(tmp_path: Path) -> LocalState:
    return LocalState(str(tmp_path))


def test_before_the_first_deployment_there_is_no_routing(state: LocalState) -> None:
    assert read_routing(state, "churn") is None
    assert routed_models(state) == []


def test_each_rollout_moves_the_champion_and_keeps_who_was_before(state: LocalState) -> None:
    deploy(state, 1, 2)

    stored = read_routing(state, "churn")

    history = (Routed(1, route(1), T0, "approved 1"), Routed(2, route(2), T0 + WEEK, "approved 2"))
    assert stored == (Routing("churn", route(2), route(1), history, generation=2), 2)
    assert routed_models(state) == ["churn"]


def test_generations_in_the_history_are_those_of_the_store(state: LocalState) -> None:
    generations = [give_all_traffic(state, "churn", route(v), now=T0, reason="") for v in (1, 2, 3)]

    routing, generation = read_routing(state, "churn") or pytest.fail("no routing")
    assert generations == [entry.generation for entry in routing.history] == [1, 2, 3]
    assert generation == 3


def test_deploying_the_champion_again_changes_nothing(state: LocalState) -> None:
    deploy(state, 1, 2)
    before = read_routing(state, "churn")

    assert give_all_traffic(state, "churn", route(2), now=T0 + 9 * WEEK, reason="again") == 2
    assert read_routing(state, "churn") == before


def test_going_back_restores_the_former_version_once(state: LocalState) -> None:
    deploy(state, 1, 2)

    assert restore_previous(state, "churn", now=T0 + 2 * WEEK, reason="errors") == 3

    routing, _ = read_routing(state, "churn") or pytest.fail("no routing")
    assert (routing.champion, routing.previous) == (route(1), None)
    with pytest.raises(NoPreviousVersion, match="going back from version 1"):
        restore_previous(state, "churn", now=T0, reason="again")


def test_the_champion_of_a_time_is_read_from_the_store(state: LocalState) -> None:
    with pytest.raises(NotRouted, match="no version routed yet"):
        champion_at(state, "churn", T0)
    deploy(state, 1, 2)

    assert champion_at(state, "churn", T0) == route(1)


def test_going_back_without_a_deployment_says_what_to_do(state: LocalState) -> None:
    with pytest.raises(NotRouted, match=r"no version routed yet.*materialise `churn/deployment`"):
        restore_previous(state, "churn", now=T0, reason="")


def test_the_version_of_a_time_is_the_last_one_routed_by_then(state: LocalState) -> None:
    deploy(state, 1, 2)
    restore_previous(state, "churn", now=T0 + 2 * WEEK, reason="errors")
    routing, _ = read_routing(state, "churn") or pytest.fail("no routing")
    second = timedelta(seconds=1)

    answered = [
        routed_at(routing, T0 + after).version for after in (0 * WEEK, WEEK - second, WEEK, 2 * WEEK, 50 * WEEK)
    ]

    assert answered == [1, 1, 2, 1, 1]
    with pytest.raises(NotRouted, match=r"2013-03-31T23:59:59.*first version routed at 2013-04-01T00:00:00"):
        routed_at(routing, T0 - second)


@given(st.lists(st.integers(0, 1000), min_size=1, unique=True).map(sorted), st.integers(0, 1000))
def test_routed_at_agrees_with_a_walk_through_the_history(minutes: list[int], asked: int) -> None:
    history = tuple(Routed(i, route(i), T0 + timedelta(minutes=m), "") for i, m in enumerate(minutes))
    routing = Routing("churn", history[-1].route, None, history)
    expected = None
    for entry in history:
        if entry.at <= T0 + timedelta(minutes=asked):
            expected = entry.route

    if expected is None:
        with pytest.raises(NotRouted):
            routed_at(routing, T0 + timedelta(minutes=asked))
    else:
        assert routed_at(routing, T0 + timedelta(minutes=asked)) == expected


def test_a_routing_from_before_there_were_challengers_is_read(state: LocalState) -> None:
    deploy(state, 1, 2)
    stored = state.read(routing_key("churn"))
    old = {name: one for name, one in stored[0].items() if name not in ("challenger", "rollout", "generation")}
    state.swap(routing_key("churn"), {**old, "schema_version": 1}, generation=2)

    deploy(state, 3)

    routing, _ = read_routing(state, "churn")
    assert (routing.generation, routing.champion, routing.schema_version) == (4, route(3), 2) or routing.generation == 3
    assert [entry.route.version for entry in routing.history] == [1, 2, 3]


def test_a_routing_of_another_release_is_refused(state: LocalState) -> None:
    state.swap(routing_key("churn"), {"schema_version": 9}, generation=0)

    with pytest.raises(UnknownRoutingSchema, match="found schema_version 9; required schema_version == 2"):
        read_routing(state, "churn")


class Contended(LocalState):
    """A store where a rival deploys version 9 between our first read and our first write."""

    def swap(self, key: str, value: dict[str, Any], *, generation: int) -> int:
        give_all_traffic(LocalState(self.root), "churn", route(9), now=T0, reason="rival")
        return super().swap(key, value, generation=generation)


def test_who_loses_a_race_decides_again_on_what_the_winner_left(tmp_path: Path) -> None:
    assert give_all_traffic(Contended(str(tmp_path)), "churn", route(1), now=T0, reason="ours") == 2

    routing, _ = read_routing(LocalState(str(tmp_path)), "churn") or pytest.fail("no routing")
    assert (routing.champion, routing.previous) == (route(1), route(9))
    assert [entry.reason for entry in routing.history] == ["rival", "ours"]


def register(state: LocalState, version: int, *verbs: Any) -> None:
    decisions = tuple(Decision(verb, "ann", T0, "looked at") for verb in verbs)
    one = route(version)
    add_card(state, VersionCard("churn", version, one.candidate_id, "r", one.artifact_uri, "ab", T0, decisions))


@pytest.mark.parametrize(
    ("verbs", "found"), [((), "found pending"), (("approved", "rejected"), "found rejected by ann")]
)
def test_only_an_approved_version_takes_traffic(state: LocalState, verbs: tuple[str, ...], found: str) -> None:
    deploy(state, 1)
    register(state, 2, *verbs)

    with pytest.raises(NotDeployable, match=found):
        give_all_traffic(state, "churn", route(2), now=T0, reason="no")
    assert read_routing(state, "churn")[1] == 1

    register(state, 3, "approved")
    assert give_all_traffic(state, "churn", route(3), now=T0, reason="yes", who="bob") == 2
    assert read_routing(state, "churn")[0].history[-1].who == "bob"


def test_traffic_does_not_go_back_to_a_rejected_version(state: LocalState) -> None:
    register(state, 1, "approved")
    deploy(state, 1, 2)
    withdraw(state, "churn", 1, who="eve", at=T0, why="wrong")

    with pytest.raises(NotDeployable, match="version 1 cannot be deployed: found rejected by eve"):
        restore_previous(state, "churn", now=T0, reason="errors")
    assert read_routing(state, "churn")[0].champion == route(2)


def test_a_version_that_is_taken_out_and_rejected_never_comes_back(state: LocalState) -> None:
    for version in (1, 2, 3):
        register(state, version, "approved")
    deploy(state, 1, 2)

    restore_previous(state, "churn", now=T0, reason="wrong prices", who="eve", reject=True)

    assert known_card(state, "churn", 2).decisions[-1] == Decision("rejected", "eve", T0, "wrong prices")
    give_all_traffic(state, "churn", route(3), now=T0, reason="")
    with pytest.raises(NotDeployable, match=r"found rejected by eve on 2013-04-01 00:00 \(wrong prices\)"):
        give_all_traffic(state, "churn", route(2), now=T0, reason="again")


class Killed(BaseException):
    """The process is gone."""


class Dying(LocalState):
    """A store whose process is killed when it writes a card."""

    def swap(self, key: str, value: dict[str, Any], *, generation: int) -> int:
        if key.startswith("versions/"):
            raise Killed
        return super().swap(key, value, generation=generation)


def test_a_rejection_that_was_killed_after_the_traffic_moved_binds_and_is_completed(state: LocalState) -> None:
    for version in (1, 2):
        register(state, version, "approved")
    deploy(state, 1, 2)
    with pytest.raises(Killed):
        restore_previous(Dying(state.root), "churn", now=T0, reason="wrong", who="eve", reject=True)
    assert known_card(state, "churn", 2).status == "approved"  # its card says so still; the routing knows better

    with pytest.raises(NotDeployable, match="found rejected by eve"):
        give_all_traffic(state, "churn", route(2), now=T0, reason="again")
    assert known_card(state, "churn", 2).status == "rejected"
    assert read_routing(state, "churn")[0].champion == route(1)


def test_a_rollback_that_was_killed_is_completed_when_it_is_asked_for_again(state: LocalState) -> None:
    for version in (1, 2):
        register(state, version, "approved")
    deploy(state, 1, 2)
    with pytest.raises(Killed):
        restore_previous(Dying(state.root), "churn", now=T0, reason="wrong", reject=True)

    with pytest.raises(NoPreviousVersion):
        restore_previous(state, "churn", now=T0, reason="wrong", reject=True)
    assert known_card(state, "churn", 2).status == "rejected"
    assert known_card(state, "churn", 1).status == "approved"


def test_only_a_registered_version_can_be_rejected_with_its_rollback(state: LocalState) -> None:
    deploy(state, 1, 2)

    with pytest.raises(NoSuchVersion):
        restore_previous(state, "churn", now=T0, reason="wrong", reject=True)
    assert read_routing(state, "churn")[0].champion == route(2)


def test_going_back_from_a_generation_leaves_a_newer_one(state: LocalState) -> None:
    deploy(state, 1, 2, 3)

    assert restore_previous(state, "churn", now=T0, reason="load failed", generation=2) == 3
    assert read_routing(state, "churn")[0].champion == route(3)
    assert restore_previous(state, "churn", now=T0, reason="load failed", generation=3) == 4
    assert read_routing(state, "churn")[0].champion == route(2)


def test_a_routing_without_names_is_read(state: LocalState) -> None:
    """An object of the release before had no `who`."""
    deploy(state, 1)
    value, generation = state.read(routing_key("churn"))
    for entry in value["history"]:
        del entry["who"], entry["rejected"]
    state.swap(routing_key("churn"), value, generation=generation)

    assert read_routing(state, "churn")[0].history[0].who == ""


DEPLOY_MANY = """
import sys
from datetime import UTC, datetime
from mlops_assets.lake.state import open_state
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic
for version in range(int(sys.argv[2]), int(sys.argv[2]) + 20):
    route = Route(version, f"run{version}", f"/models/{version}")
    give_all_traffic(open_state(sys.argv[1]), "churn", route, now=datetime(2013, 4, 1, tzinfo=UTC), reason="")
"""


def test_processes_that_deploy_at_once_lose_no_entry(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", DEPLOY_MANY, str(tmp_path), first]) for first in ("1", "101")]
    assert [process.wait(60) for process in processes] == [0, 0]

    routing, generation = read_routing(open_state(str(tmp_path)), "churn") or pytest.fail("no routing")

    assert sorted(entry.route.version for entry in routing.history) == [*range(1, 21), *range(101, 121)]
    assert generation == 40
    assert routing.previous == routing.history[-2].route
