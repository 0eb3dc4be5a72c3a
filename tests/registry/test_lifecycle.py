"""Cards of versions: decisions are kept and never turned round, also when two people decide at once."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.registry.errors import AlreadyDecided, NoSuchVersion, NotDeployable, VersionTaken
from mlops_assets.registry.lifecycle import (
    Decision,
    VersionCard,
    add_card,
    cards,
    decide,
    known_card,
    models_with_cards,
    read_card,
    require_deployable,
    withdraw,
)

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def card(version=1, *, name="delay", candidate="c1", **more):
    return VersionCard(name, version, candidate, candidate, f"/models/{candidate}", "ab" * 32, NOW, **more)


def decision(what, who="ann", why="looks right", at=NOW):
    return Decision(what, who, at, why)


def test_a_card_comes_back_as_it_was_stored(state):
    stored = card(lineage={"mlops/commit": "abc"}, decisions=(decision("approved"),), copied_from="dev.delay@4")

    assert add_card(state, stored) == stored
    assert read_card(state, "delay", 1) == stored


def test_versions_are_in_the_order_of_their_numbers_and_names_apart(state):
    for version in (10, 2, 1):
        add_card(state, card(version, candidate=f"c{version}"))
    add_card(state, card(name="delays"))

    assert [one.version for one in cards(state, "delay")] == [1, 2, 10]
    assert models_with_cards(state) == ["delay", "delays"]


def test_a_version_without_a_card(state):
    add_card(state, card(2))

    assert read_card(state, "delay", 1) is None
    with pytest.raises(NoSuchVersion, match="version 1: found versions 2; required a registered version"):
        known_card(state, "delay", 1)
    with pytest.raises(NoSuchVersion):
        decide(state, "delay", 1, decision("approved"))


def test_a_second_registration_keeps_the_decisions(state):
    add_card(state, card())
    decide(state, "delay", 1, decision("rejected"))

    assert add_card(state, card(decisions=(decision("approved"),))).status == "rejected"


def test_a_number_belongs_to_one_candidate(state):
    add_card(state, card())

    with pytest.raises(VersionTaken, match="for candidate c2: found the lake's card of that number, for candidate c1"):
        add_card(state, card(candidate="c2"))
    assert read_card(state, "delay", 1) == card()


@pytest.mark.parametrize(("what", "other"), [("approved", "rejected"), ("rejected", "approved")])
def test_a_decision_stands(state, what, other):
    add_card(state, card())
    assert read_card(state, "delay", 1).status == "pending"
    first = decision(what)

    assert decide(state, "delay", 1, first).decisions == (first,)
    again = decide(state, "delay", 1, decision(what, who="bob", why="me too", at=NOW + timedelta(1)))

    assert again.decisions == (first,)
    with pytest.raises(AlreadyDecided, match=rf"cannot be {other}: found {what} by ann on 2024-05-01 00:00 \(looks"):
        decide(state, "delay", 1, decision(other, who="bob"))
    assert read_card(state, "delay", 1).decisions == (first,)


def test_only_an_approved_version_may_be_deployed(state):
    add_card(state, card())
    with pytest.raises(NotDeployable, match="found pending; required an approved version"):
        require_deployable(known_card(state, "delay", 1))
    require_deployable(decide(state, "delay", 1, decision("approved")))
    withdrawn = withdraw(state, "delay", 1, who="eve", at=NOW, why="wrong prices")
    with pytest.raises(NotDeployable, match=r"found rejected by eve on 2024-05-01 00:00 \(wrong prices\)"):
        require_deployable(withdrawn)


def test_a_withdrawn_version_keeps_who_approved_it(state):
    add_card(state, card())
    decide(state, "delay", 1, decision("approved"))

    withdrawn = withdraw(state, "delay", 1, who="eve", at=NOW, why="wrong prices")

    assert withdrawn.decisions == (decision("approved"), decision("rejected", "eve", "wrong prices"))
    assert withdraw(state, "delay", 1, who="bob", at=NOW, why="again") == withdrawn
    with pytest.raises(AlreadyDecided, match="a rejected version stays out"):
        decide(state, "delay", 1, decision("approved"))


JUDGE = """
import pathlib, sys, time
from datetime import UTC, datetime
from mlops_assets.lake.state import LocalState
from mlops_assets.registry.lifecycle import Decision, decide
from mlops_assets.registry.errors import AlreadyDecided
root, what = sys.argv[1:]
state, folder = LocalState(root), pathlib.Path(root + "-ready")
(folder / what).touch()
while len(list(folder.iterdir())) < 2:
    time.sleep(0.001)
for version in range(1, 31):
    try:
        decide(state, "delay", version, Decision(what, "somebody", datetime.now(UTC), "at once"))
        print(version)
    except AlreadyDecided:
        pass
"""


@pytest.mark.slow
def test_of_two_who_decide_at_once_one_is_refused(tmp_path):
    state, ready = LocalState(str(tmp_path / "state")), tmp_path / "state-ready"
    ready.mkdir()
    for version in range(1, 31):
        add_card(state, card(version, candidate=f"c{version}"))

    judges = [
        subprocess.Popen([sys.executable, "-c", JUDGE, state.root, what], stdout=subprocess.PIPE, text=True)
        for what in ("approved", "rejected")
    ]
    said = [set(map(int, judge.communicate(timeout=120)[0].split())) for judge in judges]

    statuses = {one.version: one.status for one in cards(state, "delay")}
    assert said[0] | said[1] == set(statuses)
    assert said[0] & said[1] == set()
    assert {version for version, status in statuses.items() if status == "approved"} == said[0]
    assert all(len(one.decisions) == 1 for one in cards(state, "delay"))
