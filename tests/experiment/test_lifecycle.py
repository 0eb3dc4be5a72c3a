"""Experiments over the real store and routing: beginning, ending, and kills between their two writes."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiment.experiments import DAY, START, seen, spec_of

from mlops_assets.experiment.analysis import look
from mlops_assets.experiment.beginning import start
from mlops_assets.experiment.errors import CannotStart, NoExperiment
from mlops_assets.experiment.lifecycle import note, settle, stop
from mlops_assets.experiment.state import Experiment, read_experiment
from mlops_assets.lake.state import LocalState
from mlops_assets.predictor.manifest import MANIFEST, digest
from mlops_assets.registry.errors import NoSuchVersion, NotDeployable
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card, withdraw
from mlops_assets.rollout import machine
from mlops_assets.rollout.assignment import is_challengers, unit_of
from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.fall_back import fall_back
from mlops_assets.rollout.rollouts import start as start_rollout
from mlops_assets.rollout.routing import Routing, read_routing, route_of
from mlops_assets.rollout.spec import FreezeSpec, RolloutSpec
from mlops_assets.rollout.traffic import change_routing, give_all_traffic, restore_previous

MODEL, ANA = "returns", "ana@laptop"
SPEC = spec_of(analysis="sequential", minimum_days=0)


@pytest.fixture
def state(tmp_path: Path) -> LocalState:
    """Versions 1 and 2 are approved, 3 waits, and 1 answers."""
    state = LocalState(str(tmp_path))
    for version in (1, 2, 3):
        save(state, version)
        add_card(state, card(state, version, pending=version == 3))
    give_all_traffic(state, MODEL, route_of(card(state, 1)), now=START - DAY, reason="first")
    return state


def save(state: LocalState, version: int) -> None:
    """Write a saved model that has only its manifest."""
    folder = Path(state.root) / f"models-{version}"
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text('{"files": {}}')


def card(state: LocalState, version: int, *, pending: bool = False) -> VersionCard:
    decisions = () if pending else (Decision("approved", "", START - DAY, "the gate"),)
    return VersionCard(
        name=MODEL,
        version=version,
        candidate_id=f"run{version}",
        run_id=f"run{version}",
        artifact_uri=f"{state.root}/models-{version}",
        sha256=digest(b'{"files": {}}'),
        registered_at=START - DAY,
        decisions=decisions,
    )


def began(
    state: LocalState,
    version: int = 2,
    hypothesis: str = "it is better",
    rollout: RolloutSpec | None = None,
    **changes: Any,
) -> Experiment:
    spec = SPEC.model_copy(update=changes)
    return start(
        state, MODEL, version, spec, rollout=rollout, lake=state.root, hypothesis=hypothesis, who=ANA, now=START
    )


def routing_of(state: LocalState) -> Routing:
    stored = read_routing(state, MODEL)
    assert stored is not None
    return stored[0]


def concluded(state: LocalState, experiment: Experiment, champion: float, challenger: float) -> Experiment:
    rng = np.random.default_rng(0)
    observed = seen(*(rng.binomial(1, share, 3000).astype(float) for share in (champion, challenger)))
    return note(state, experiment, look(experiment, observed, START + DAY), now=START + DAY)


def test_an_experiment_gives_its_challenger_a_share_under_a_label_and_a_salt_of_its_own(state: LocalState) -> None:
    experiment = began(state, share=0.3)
    traffic, entry = routing_of(state).challenger, routing_of(state).history[-1]

    assert traffic is not None
    assert (traffic.route.version, traffic.label, traffic.share) == (2, "returns-ab-2-1/0", 0.3)
    assert (traffic.assign_by, traffic.is_shadow, traffic.fast_fail) == (("customer",), False, (0.5, 10))
    assert (entry.who, entry.reason) == (ANA, "experiment returns-ab-2-1: it is better")
    assert read_experiment(state, MODEL) == experiment
    assert experiment.plan.size.units > 2000
    assert (experiment.actions[0].what, experiment.actions[0].who) == ("running", ANA)


def test_the_same_start_again_changes_nothing_and_another_is_refused(state: LocalState) -> None:
    first, generation = began(state), routing_of(state).generation

    assert began(state) == first
    assert routing_of(state).generation == generation
    with pytest.raises(CannotStart, match="experiment returns-ab-2-1 under way"):
        began(state, hypothesis="another")


@pytest.mark.parametrize(
    ("version", "error"), [(1, CannotStart), (3, NotDeployable), (9, NoSuchVersion)], ids=["champion", "waits", "none"]
)
def test_a_version_that_cannot_be_compared_leaves_nothing_behind(state: LocalState, version: int, error: type) -> None:
    with pytest.raises(error):
        began(state, version)

    assert read_experiment(state, MODEL) is None
    assert routing_of(state).challenger is None


def test_without_a_champion_nothing_starts(tmp_path: Path) -> None:
    state = LocalState(str(tmp_path))
    save(state, 2)
    add_card(state, card(state, 2))

    with pytest.raises(NotRouted):
        began(state)


def test_no_experiment_starts_beside_a_rollout_and_no_rollout_beside_an_experiment(state: LocalState) -> None:
    experiment = began(state)
    start_rollout(state, MODEL, route_of(card(state, 2)), RolloutSpec(), now=START, reason="new")
    assert routing_of(state).rollout is None
    assert "in an experiment" in routing_of(state).queued.behind  # type: ignore[union-attr]
    stop(state, MODEL, who=ANA, why="enough", now=START)

    start_rollout(state, MODEL, route_of(card(state, 2)), RolloutSpec(), now=START, reason="new")

    with pytest.raises(CannotStart, match="rollout returns-2-1, running"):
        began(state, hypothesis="another")
    assert read_experiment(state, MODEL).id == experiment.id  # type: ignore[union-attr]


def test_a_rollout_that_slips_in_between_the_two_writes_keeps_the_traffic(state: LocalState) -> None:
    left_half_begun(state)
    start_rollout(state, MODEL, route_of(card(state, 2)), RolloutSpec(), now=START, reason="faster")

    experiment = settle(state, MODEL, now=START)

    assert experiment is not None
    assert experiment.phase == "stopped"
    assert "it never began" in experiment.actions[-1].why
    assert routing_of(state).rollout.is_active  # type: ignore[union-attr]
    assert routing_of(state).challenger.label.startswith("returns-2-1/")  # type: ignore[union-attr]


def test_stopping_gives_the_traffic_back_and_keeps_who_and_why(state: LocalState) -> None:
    began(state)

    stopped = stop(state, MODEL, who=ANA, why="the campaign distorts it", now=START + DAY)

    assert (stopped.phase, stopped.ended_at) == ("stopped", START + DAY)
    assert (stopped.actions[-1].who, stopped.actions[-1].why) == (ANA, "the campaign distorts it")
    assert routing_of(state).challenger is None
    assert routing_of(state).history[-1].reason == "experiment returns-ab-2-1: stopped: the campaign distorts it"
    with pytest.raises(NoExperiment, match="returns-ab-2-1, stopped"):
        stop(state, MODEL, who=ANA, why="again", now=START + DAY)


def test_the_next_experiment_has_another_number_and_salt(state: LocalState) -> None:
    first = began(state)
    stop(state, MODEL, who=ANA, why="enough", now=START)

    second = began(state)

    assert (second.id, second.number, second.phase) == ("returns-ab-2-2", 2, "running")
    assert second.traffic.salt != first.traffic.salt
    assert routing_of(state).challenger == second.traffic


def test_the_record_of_one_that_somebody_else_ended_is_kept_before_the_next_takes_its_place(state: LocalState) -> None:
    began(state)
    restore_previous(state, MODEL, now=START + DAY, reason="complaints", who="bo")

    began(state)

    page = Path(state.root, "experiments", MODEL, "returns-ab-2-1", "decision.md").read_text()
    assert "complaints" in page
    assert not Path(state.root, "experiments", MODEL, "returns-ab-2-2").exists()


def test_a_winner_takes_all_traffic_only_where_the_file_says_so(state: LocalState) -> None:
    reported = concluded(state, began(state), 0.2, 0.4)
    assert (reported.phase, reported.looks[-1].verdict) == ("concluded", "win")
    assert (routing_of(state).champion.version, routing_of(state).challenger) == (1, None)

    promoted = concluded(state, began(state, on_win="promote"), 0.2, 0.4)

    assert promoted.phase == "concluded"
    assert (routing_of(state).champion.version, routing_of(state).challenger) == (2, None)
    assert routing_of(state).previous.version == 1  # type: ignore[union-attr]
    assert "win: The challenger is better" in routing_of(state).history[-1].reason


STEPS = RolloutSpec.model_validate({"steps": ["shadow", 10, 50, 80, 100], "assign_by": ["order_id"]})


def test_a_winner_goes_through_the_steps_above_its_share_and_keeps_its_units(state: LocalState) -> None:
    experiment = began(state, on_win="promote", rollout=STEPS)
    before = routing_of(state).challenger

    concluded(state, experiment, 0.2, 0.4)

    routing = routing_of(state)
    rollout, traffic = routing.rollout, routing.challenger
    assert before is not None
    assert rollout is not None
    assert traffic is not None
    assert routing.champion.version == 1, "80 and 100 % have not been seen"
    assert (rollout.id, rollout.phase, traffic.label, traffic.share) == ("returns-2-1", "running", "returns-2-1/0", 0.8)
    assert [step.percent for step in machine.spec_of(rollout).steps] == [80, 100]
    assert "win: The challenger is better" in rollout.actions[0].why
    units = [unit_of([f"c{number}"]) for number in range(2000)]
    had, has = ({unit for unit in units if is_challengers(unit, one.salt, one.share)} for one in (before, traffic))
    assert traffic.assign_by == before.assign_by == ("customer",)
    assert had < has
    assert settle(state, MODEL, now=START + 2 * DAY).phase == "concluded"  # type: ignore[union-attr]
    assert routing_of(state) == routing


def test_a_winner_that_its_last_steps_show_to_fail_goes_back(state: LocalState) -> None:
    concluded(state, began(state, on_win="promote", rollout=STEPS), 0.2, 0.4)

    fall_back(state, MODEL, "returns-2-1/0", why="8 of 10 failed", now=START + 2 * DAY)
    settle(state, MODEL, now=START + 3 * DAY)

    assert (routing_of(state).champion.version, routing_of(state).challenger) == (1, None)
    assert routing_of(state).rollout.phase == "rolled_back"  # type: ignore[union-attr]


def test_in_a_freeze_a_winner_waits_unless_another_version_does(state: LocalState) -> None:
    frozen = STEPS.model_copy(update={"freeze": [FreezeSpec(start="0 0 * * *", hours=24)], "steps": STEPS.steps[1:]})
    concluded(state, began(state, on_win="promote", rollout=frozen), 0.2, 0.4)
    assert (routing_of(state).challenger, routing_of(state).queued.route.version) == (None, 2)  # type: ignore[union-attr]

    save(state, 4)
    add_card(state, card(state, 4))
    experiment = began(state, on_win="promote", rollout=frozen, hypothesis="again")
    start_rollout(state, MODEL, route_of(card(state, 4)), frozen, now=START, reason="newer")
    concluded(state, experiment, 0.2, 0.4)
    assert (routing_of(state).challenger, routing_of(state).queued.route.version) == (None, 4)  # type: ignore[union-attr]


def test_a_newer_version_that_waited_keeps_its_place_behind_the_winner(state: LocalState) -> None:
    save(state, 4)
    add_card(state, card(state, 4))
    experiment = began(state, on_win="promote", rollout=STEPS)
    start_rollout(state, MODEL, route_of(card(state, 4)), STEPS, now=START, reason="newer")

    concluded(state, experiment, 0.2, 0.4)

    assert routing_of(state).rollout.challenger.version == 2  # type: ignore[union-attr]
    assert routing_of(state).queued.route.version == 4  # type: ignore[union-attr]


def test_a_promoted_winner_that_was_rolled_back_is_not_promoted_again(state: LocalState) -> None:
    concluded(state, began(state, on_win="promote"), 0.2, 0.4)
    restore_previous(state, MODEL, now=START + 2 * DAY, reason="complaints")

    settle(state, MODEL, now=START + 3 * DAY)

    assert routing_of(state).champion.version == 1


def test_a_winner_that_was_rejected_meanwhile_is_not_promoted(state: LocalState) -> None:
    experiment = began(state, on_win="promote")
    withdraw(state, MODEL, 2, who=ANA, at=START, why="a leak")

    concluded(state, experiment, 0.2, 0.4)

    assert (routing_of(state).champion.version, routing_of(state).challenger) == (1, None)
    assert "Not promoted" in routing_of(state).history[-1].reason


def test_a_loser_is_taken_out(state: LocalState) -> None:
    ended = concluded(state, began(state, on_win="promote"), 0.4, 0.2)

    assert (ended.phase, ended.looks[-1].verdict) == ("concluded", "loss")
    assert (routing_of(state).champion.version, routing_of(state).challenger) == (1, None)


@pytest.mark.parametrize(
    ("move", "who", "why"),
    [
        (lambda state: restore_previous(state, MODEL, now=START + DAY, reason="pager", who="bo"), "bo", "pager"),
        (
            lambda state: give_all_traffic(
                state, MODEL, route_of(card(state, 2)), now=START + DAY, reason="hurry", who="bo"
            ),
            "bo",
            "hurry",
        ),
        (
            lambda state: fall_back(state, MODEL, "returns-ab-2-1/0", why="9 of 10 failed", now=START + DAY),
            "server",
            "9 of 10 failed",
        ),
    ],
    ids=["rollback", "promotion", "fast fail"],
)
def test_whoever_takes_the_traffic_ends_the_experiment(state: LocalState, move: Any, who: str, why: str) -> None:
    began(state)
    move(state)
    moved = routing_of(state)

    experiment = settle(state, MODEL, now=START + 2 * DAY)

    assert experiment is not None
    assert (experiment.phase, experiment.ended_at) == ("stopped", START + DAY)
    assert experiment.actions[-1].who == who
    assert why in experiment.actions[-1].why
    assert routing_of(state) == moved


def left_half_begun(state: LocalState) -> None:
    """Kill a process with SIGKILL after the state is written, before the routing is."""
    assert killed(state, "place", "began(state)") == -signal.SIGKILL
    assert read_experiment(state, MODEL) is not None
    assert routing_of(state).challenger is None


def killed(state: LocalState, at: str, action: str) -> int:
    """Run `action` in a process of its own, which dies where the experiment's code calls `at`."""
    script = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
import mlops_assets.experiment.lifecycle as lifecycle
from experiment.test_lifecycle import *
state = LocalState({state.root!r})
lifecycle.{at} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
{action}
"""
    return subprocess.run([sys.executable, "-c", script], check=False, timeout=120).returncode


def test_a_start_that_was_killed_between_its_writes_is_finished_by_the_same_start(state: LocalState) -> None:
    left_half_begun(state)

    experiment = began(state)

    assert experiment.id == "returns-ab-2-1"
    assert routing_of(state).challenger == experiment.traffic


def test_a_start_that_was_killed_between_its_writes_is_finished_by_the_next_run(state: LocalState) -> None:
    left_half_begun(state)

    experiment = settle(state, MODEL, now=START + DAY)

    assert experiment is not None
    assert routing_of(state).challenger == experiment.traffic


@pytest.mark.parametrize(
    ("action", "champion"),
    [
        ("stop(state, MODEL, who=ANA, why='enough', now=START)", 1),
        ("concluded(state, read_experiment(state, MODEL), 0.2, 0.4)", 2),
    ],
    ids=["stopped", "won"],
)
def test_an_end_that_was_killed_between_its_writes_is_finished_by_the_next_run(
    state: LocalState, action: str, champion: int
) -> None:
    experiment = began(state, on_win="promote")
    assert killed(state, "take_out", action) == -signal.SIGKILL
    assert routing_of(state).challenger == experiment.traffic

    first = settle(state, MODEL, now=START + 2 * DAY)
    after = routing_of(state)

    assert first is not None
    assert not first.is_running
    assert (after.champion.version, after.challenger) == (champion, None)
    assert settle(state, MODEL, now=START + 3 * DAY) == first
    assert routing_of(state) == after


def test_an_experiment_that_was_stopped_while_it_was_placed_does_not_stay_in_traffic(state: LocalState) -> None:
    experiment = began(state)
    stop(state, MODEL, who=ANA, why="at the same moment", now=START)
    change_routing(
        state, MODEL, lambda routing: replace(routing, challenger=experiment.traffic), now=START, reason="late"
    )

    settle(state, MODEL, now=START)

    assert routing_of(state).challenger is None


def test_a_look_at_an_experiment_that_ended_meanwhile_is_dropped(state: LocalState) -> None:
    experiment = began(state, on_win="promote")
    stop(state, MODEL, who=ANA, why="enough", now=START)

    ended = concluded(state, experiment, 0.2, 0.4)

    assert (ended.phase, ended.looks) == ("stopped", ())
    assert routing_of(state).champion.version == 1
