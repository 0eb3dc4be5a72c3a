"""Who plays which part, by the routing and the cards."""

from datetime import UTC, datetime

import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.registry.describe import summarize
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card, cards
from mlops_assets.registry.reference import UnknownModel, UnknownReference, find_version
from mlops_assets.rollout.roles import roles
from mlops_assets.rollout.routing import route_of
from mlops_assets.rollout.traffic import give_all_traffic, restore_previous

NOW, LATER = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 8, 12, tzinfo=UTC)


@pytest.fixture
def state(tmp_path):
    return LocalState(str(tmp_path / "lake" / "dev"))


def add(state, version, status="approved"):
    decisions = () if status == "pending" else (Decision(status, "ann", NOW, "because"),)
    lineage = {"mlops/test_metric": f"rmse {version}.5"}
    card = VersionCard(
        "delay", version, f"c{version}", f"c{version}", f"/none/{version}", "ab", NOW, decisions, lineage
    )
    return add_card(state, card)


def deploy(state, card):
    give_all_traffic(state, "delay", route_of(card), now=NOW, reason="test")


def test_roles_follow_the_routing_and_the_challenger_is_the_newest_after_the_champion(state):
    first, second, *_ = [add(state, number) for number in (1, 2, 3)]
    assert roles(state, "delay") == {"challenger": 3}
    deploy(state, first)
    deploy(state, second)
    assert roles(state, "delay") == {"champion": 2, "previous": 1, "challenger": 3}
    add(state, 4, "rejected")
    add(state, 5, "pending")
    assert roles(state, "delay")["challenger"] == 5
    restore_previous(state, "delay", now=NOW, reason="worse")
    assert roles(state, "delay") == {"champion": 1, "challenger": 5}


def test_the_champion_is_the_newest_version_without_a_challenger(state):
    deploy(state, add(state, 1))
    add(state, 2, "rejected")
    assert roles(state, "delay") == {"champion": 1}


def test_a_summary_is_about_the_champion_and_names_those_that_wait(state):
    deploy(state, add(state, 1))
    add(state, 2, "pending")
    add(state, 3, "rejected")

    found = summarize(cards(state, "delay"), roles(state, "delay"), now=LATER)

    assert (found.champion, found.challenger, found.previous) == (1, 2, None)
    assert (found.newest, found.status, found.pending) == (3, "rejected", (2,))
    assert (found.shown, found.metric, found.age_days) == (1, "rmse 1.5", 7.5)
    assert found.trained_through is None  # its files are gone, and the rest is told


def test_a_summary_without_a_champion_is_about_the_newest(state):
    add(state, 1, "pending")
    found = summarize(cards(state, "delay"), roles(state, "delay"), now=LATER)
    assert (found.shown, found.champion, found.challenger) == (1, None, 1)


def test_a_role_that_nobody_has_and_a_model_that_nobody_knows_are_refused(state):
    add(state, 1, "pending")
    with pytest.raises(UnknownReference, match=r"delay@champion: found roles taken: challenger \(1\)"):
        find_version(state, "delay", "champion", roles(state, "delay"))
    with pytest.raises(UnknownModel, match="found registered models: delay"):
        find_version(state, "dely", "1", {})
