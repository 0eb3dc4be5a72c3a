"""A rollout in the stored routing: how it begins, each look, the word of a person; and who comes in between."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import MlopsError
from mlops_assets.lake.state import LocalState
from mlops_assets.registry.errors import NotDeployable
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card, withdraw
from mlops_assets.rollout.errors import NoRollout, NotRouted
from mlops_assets.rollout.evidence import Evidence, Judged
from mlops_assets.rollout.fall_back import fall_back
from mlops_assets.rollout.outcome import became, verdict_on
from mlops_assets.rollout.rollouts import act, advance, note_told, refuse, start, start_queued
from mlops_assets.rollout.routing import Routing, read_routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Route, Traffic
from mlops_assets.rollout.traffic import change_routing, give_all_traffic, restore_previous

T0 = datetime(2024, 3, 4, 12, tzinfo=UTC)  # a Monday
MODEL = "churn"
STEPS = RolloutSpec(
    steps=["shadow", 10, 50, 100], bake_minutes=0, min_requests=1, failure_limit=2, assign_by=["customer"]
)


def route(version: int) -> Route:
    return Route(version, f"run{version}", f"/models/{version}")


def minute(count: float) -> datetime:
    return T0 + timedelta(minutes=count)


def begin(state: LocalState, version: int = 2, spec: RolloutSpec | None = STEPS, *, at: float = 0) -> Routing:
    return start(state, MODEL, route(version), spec, now=minute(at), reason=f"better {version}")


def judged(outcome: str, *, at: datetime, requests: int = 100) -> Callable[[Routing], Evidence]:
    def judge(routing: Routing) -> Evidence:
        assert routing.rollout is not None
        found = Judged("error_share", outcome, 0.1, 0.05, f"{outcome}!")
        return Evidence(at, routing.rollout.step, requests, (found,))

    return judge


def look(state: LocalState, outcome: str, *, at: float) -> Routing:
    return advance(state, MODEL, judged(outcome, at=minute(at)), now=minute(at))


def stored(state: LocalState) -> Routing:
    return (read_routing(state, MODEL) or pytest.fail("no routing"))[0]


@pytest.fixture
def state(tmp_path: Path) -> LocalState:
    """Return a store in which version 1 answers."""
    state = LocalState(str(tmp_path))
    give_all_traffic(state, MODEL, route(1), now=T0, reason="first")
    return state


# How it begins


def test_a_first_version_and_one_without_steps_take_everything_at_once(tmp_path: Path) -> None:
    state = LocalState(str(tmp_path))

    assert begin(state, 1).champion == route(1)
    after = begin(state, 2, None)

    assert (after.champion, after.previous, after.challenger, after.rollout) == (route(2), route(1), None, None)
    assert [entry.reason for entry in after.history] == ["better 1", "better 2"]


def test_with_steps_nobody_is_answered_by_the_new_version_yet(state: LocalState) -> None:
    after = begin(state)

    assert after.champion == route(1)
    assert after.challenger == Traffic(
        route(2), "churn-2-1/0", 0.0, "churn-2-1", ("customer",), is_shadow=True, fast_fail=(0.5, 10)
    )
    assert (after.history[-1].route, after.history[-1].challenger) == (route(1), after.challenger)
    assert after.history[-1].reason == "better 2"
    assert begin(state, at=9) == after, "a second time nothing changes"


def test_a_second_rollout_of_a_version_splits_the_units_anew(state: LocalState) -> None:
    begin(state)
    act(state, MODEL, "abort", who="ann", why="wait", now=minute(1))

    again = begin(state, at=2)

    assert again.rollout.id == again.challenger.salt == "churn-2-2"


def test_a_rejected_version_does_not_begin(state: LocalState) -> None:
    add_card(state, VersionCard(MODEL, 2, "run2", "run2", "/models/2", "aa", T0))
    withdraw(state, MODEL, 2, who="ann", at=T0, why="wrong")

    with pytest.raises(NotDeployable):
        begin(state)
    assert stored(state).challenger is None


def test_a_newer_version_supersedes(state: LocalState) -> None:
    begin(state)
    look(state, "pass", at=1)

    after = begin(state, 3, at=2)

    assert (after.champion, after.challenger.route, after.rollout.id) == (route(1), route(3), "churn-3-1")
    assert after.history[-1].reason == "better 3 (supersedes churn-2-1 at 10 %)"
    (ended,) = after.untold
    assert (ended.id, ended.phase, ended.actions[-1].why) == ("churn-2-1", "superseded", "version 3: better 3")
    assert note_told(state, MODEL, ["churn-2-1"], now=minute(3)).untold == ()
    assert became(after, 2) == "rejected"


def test_of_rollouts_that_nobody_shows_the_newest_three_are_kept(state: LocalState) -> None:
    for version in range(2, 8):
        begin(state, version, at=version)

    assert [one.id for one in stored(state).untold] == ["churn-4-1", "churn-5-1", "churn-6-1"]


WAITS = STEPS.model_copy(update={"on_new_version": "wait"})
FROZEN = RolloutSpec(steps=[10, 100], freeze=[{"start": "0 12 * * 1", "hours": 2}])
EXPERIMENT = Traffic(route(7), "test-1/0", 0.5, "test-1")


def under_way(state: LocalState) -> None:
    begin(state, 9)


def holding(state: LocalState) -> None:
    begin(state, 9, RolloutSpec(steps=[100], bake_minutes=0, min_requests=1, hold_minutes=60))
    held = look(state, "pass", at=0.5)
    assert (held.rollout.phase, held.champion, held.challenger.share) == ("holding", route(1), 1)


def experiment(state: LocalState) -> None:
    change_routing(state, MODEL, lambda routing: replace(routing, challenger=EXPERIMENT), now=T0, reason="test")


def nothing(_: LocalState) -> None:
    pass


@pytest.mark.parametrize(
    ("obstacle", "spec", "behind"),
    [
        (under_way, WAITS, "version 9 is being rolled out"),
        (holding, STEPS, "version 9 has all traffic and holds it"),
        (experiment, STEPS, "version 7 is in an experiment"),
        (nothing, FROZEN, "nothing goes forward until 2024-03-04T14:00:00+00:00"),
    ],
)
def test_a_version_waits_for_its_turn(
    state: LocalState, obstacle: Callable[[LocalState], None], spec: RolloutSpec, behind: str
) -> None:
    obstacle(state)
    before = stored(state)

    after = begin(state, 10, spec, at=1)

    assert replace(after, queued=None, generation=before.generation) == before, "traffic stays as it is"
    assert (after.queued.route, after.queued.behind) == (route(10), behind)
    assert begin(state, 10, spec, at=2) == after == start_queued(state, MODEL, spec, now=minute(2))
    assert verdict_of(state, 10) == "waiting"


def test_its_turn_comes_when_the_other_one_has_ended(state: LocalState) -> None:
    under_way(state)
    begin(state, 10, WAITS, at=1)
    begin(state, 11, WAITS, at=2)
    assert verdict_of(state, 10) == "rejected", "a newer one has its place"
    assert [entry.let_go for entry in stored(state).history] == [None, None]
    act(state, MODEL, "abort", who="ann", why="no", now=minute(3))

    after = start_queued(state, MODEL, WAITS, now=minute(4))

    assert (after.rollout.id, after.challenger.route, after.queued) == ("churn-11-1", route(11), None)
    assert (after.rollout.actions[0].at, after.rollout.actions[0].why) == (minute(4), "better 11")


def test_one_that_was_rejected_while_it_waited_does_not_begin(state: LocalState) -> None:
    under_way(state)
    begin(state, 10, WAITS, at=1)
    add_card(state, VersionCard(MODEL, 10, "run10", "run10", "/models/10", "aa", T0))
    withdraw(state, MODEL, 10, who="ann", at=T0, why="wrong")
    act(state, MODEL, "abort", who="ann", why="no", now=minute(3))

    after = start_queued(state, MODEL, WAITS, now=minute(4))

    assert (after.queued, after.challenger) == (None, None)
    assert (after.history[-1].let_go, after.history[-1].reason) == (
        10,
        "version 10 no longer waits for its rollout: rejected while it waited",
    )


def test_abort_lets_a_version_go_that_waits(state: LocalState) -> None:
    before = begin(state, 10, FROZEN)
    assert verdict_of(state, 10) == "waiting"

    after = act(state, MODEL, "abort", who="ann", why="no", now=minute(1))

    assert (after.queued, after.champion, after.challenger) == (None, before.champion, before.challenger)
    entry = after.history[-1]
    assert (entry.let_go, entry.who, entry.at, entry.reason) == (
        10,
        "ann",
        minute(1),
        "version 10 no longer waits for its rollout: no",
    )
    assert verdict_of(state, 10) == "rejected", "the event that asked for it is over"
    begin(state, 10, at=2)
    assert verdict_of(state, 10) == "waiting", "somebody has thought better of it"


def test_abort_of_a_rollout_leaves_the_version_behind_it_waiting(state: LocalState) -> None:
    under_way(state)
    begin(state, 10, WAITS, at=1)

    after = act(state, MODEL, "abort", who="ann", why="no", now=minute(3))

    assert (after.rollout.phase, after.queued.route, after.history[-1].let_go) == ("aborted", route(10), None)


# Looks


def test_looks_lead_to_all_traffic_and_the_champion_becomes_previous_in_the_same_swap(state: LocalState) -> None:
    begin(state)

    shares = [look(state, "pass", at=count).challenger for count in (1, 2, 3)]
    before = stored(state)
    after = look(state, "pass", at=4)

    assert [(one.share, one.is_shadow, one.label) for one in shares] == [
        (0.1, False, "churn-2-1/1"),
        (0.5, False, "churn-2-1/2"),
        (1.0, False, "churn-2-1/3"),
    ]
    assert (before.champion, before.rollout.phase) == (route(1), "running")
    assert (after.champion, after.previous, after.challenger) == (route(2), route(1), None)
    assert (after.rollout.phase, after.generation) == ("promoted", before.generation + 1)
    assert after.history[-1].reason == "churn-2-1, promoted: passed with 100 requests in 1 min"
    assert look(state, "fail", at=5) == after, "an end is an end"
    assert advance(state, MODEL, lambda _: pytest.fail("nobody judges an end"), now=minute(6)) == after


def test_a_look_that_changes_no_traffic_leaves_no_entry_in_the_history(state: LocalState) -> None:
    begin(state)

    after = look(state, "inconclusive", at=1)

    assert (after.rollout.ticks, len(after.history)) == (1, 2)


def test_failures_take_the_challenger_out(state: LocalState) -> None:
    begin(state)
    look(state, "pass", at=1)

    first, second = look(state, "fail", at=2), look(state, "fail", at=3)

    assert (first.rollout.failures, first.challenger.share) == (1, 0.1)
    assert (second.rollout.phase, second.champion, second.challenger) == ("rolled_back", route(1), None)
    assert second.history[-1].reason == "churn-2-1, rolled_back: fail!"


def test_what_changed_while_the_evidence_was_read_is_judged_again(state: LocalState) -> None:
    """The second look is about another step: by the evidence of the first one, the newer version would be rolled back."""
    begin(state)
    look(state, "pass", at=1)
    look(state, "fail", at=2)
    steps = []

    def judge(routing: Routing) -> Evidence:
        steps.append((routing.rollout.id, routing.rollout.step))
        if len(steps) == 1:
            begin(state, 3, at=2.5)
        return judged("fail", at=minute(3))(routing)

    after = advance(state, MODEL, judge, now=minute(3))

    assert steps == [("churn-2-1", 1), ("churn-3-1", 0)]
    assert (after.rollout.id, after.rollout.phase, after.rollout.failures) == ("churn-3-1", "running", 1)


def test_a_pause_that_came_in_between_holds(state: LocalState) -> None:
    begin(state)

    def judge(routing: Routing) -> Evidence:
        if routing.rollout.phase == "running":
            act(state, MODEL, "pause", who="ann", why="wait", now=minute(1))
        return judged("pass", at=minute(1))(routing)

    after = advance(state, MODEL, judge, now=minute(1))

    assert (after.rollout.phase, after.rollout.step, after.challenger.share) == ("paused", 0, 0)


def test_of_two_looks_at_once_one_counts(state: LocalState) -> None:
    begin(state)

    def judge(routing: Routing) -> Evidence:
        if routing.rollout.ticks == 0:
            look(state, "fail", at=1)
        return judged("fail", at=minute(1.1))(routing)

    after = advance(state, MODEL, judge, now=minute(1.1))

    assert (after.rollout.ticks, after.rollout.failures, after.rollout.phase) == (1, 1, "running")


def test_a_look_at_what_came_in_between_counts_once_too(state: LocalState) -> None:
    begin(state)
    seen = []

    def judge(routing: Routing) -> Evidence:
        seen.append(routing.rollout.id)
        if len(seen) == 1:
            begin(state, 3, at=0.5)
        elif len(seen) == 2:
            look(state, "fail", at=1)
        return judged("fail", at=minute(1.1))(routing)

    after = advance(state, MODEL, judge, now=minute(1.1))

    assert seen == ["churn-2-1", "churn-3-1"]
    assert (after.rollout.ticks, after.rollout.failures, after.rollout.phase) == (1, 1, "running")


LOOKER = """
import sys
from datetime import datetime, timedelta
from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.evidence import Evidence, Judged
from mlops_assets.rollout.rollouts import advance
root, first, count = sys.argv[1], datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for place in range(count):
    now = first + timedelta(seconds=place)
    judged = (Judged("error_share", "inconclusive", 0.1, 0.05, ""),)
    advance(LocalState(root), "churn", lambda routing: Evidence(now, routing.rollout.step, 1, judged), now=now)
"""


def test_processes_that_look_at_the_same_time_lose_no_look_and_count_none_twice(state: LocalState) -> None:
    begin(state)
    count, processes = 40, []
    for _ in range(3):
        code = [sys.executable, "-c", LOOKER, state.root, minute(1).isoformat(), str(count)]
        processes.append(subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0

    rollout = stored(state).rollout
    assert rollout.ticks == rollout.looks[0].looks <= count
    assert rollout.ticked_at == minute(1) + timedelta(seconds=count - 1)


# The word of a person, and of servers


def test_every_word_is_kept_with_who_when_and_why(state: LocalState) -> None:
    begin(state, spec=STEPS.model_copy(update={"steps": [*STEPS.steps[:1], *STEPS.steps[3:]]}))

    act(state, MODEL, "pause", who="ann", why="a talk", now=minute(1))
    act(state, MODEL, "resume", who="bob", why="done", now=minute(2))
    after = act(state, MODEL, "promote", who="cid", why="sure", now=minute(3), full=True)

    actions = [(one.what, one.who, one.at, one.why) for one in after.rollout.actions[1:]]
    assert actions == [
        ("paused", "ann", minute(1), "a talk"),
        ("running", "bob", minute(2), "done"),
        ("promoted", "cid", minute(3), "sure"),
    ]
    assert (after.champion, after.previous, after.challenger) == (route(2), route(1), None)
    assert (after.history[-1].who, after.history[-1].reason) == ("cid", "churn-2-1, promoted: sure")


def test_abort_leaves_the_champion_alone(state: LocalState) -> None:
    begin(state)

    after = act(state, MODEL, "abort", who="ann", why="no", now=minute(1))

    assert (after.champion, after.previous, after.challenger, after.rollout.phase) == (route(1), None, None, "aborted")
    assert became(after, 2) == "rejected"


def test_a_version_that_was_rejected_meanwhile_goes_no_further_by_a_word(state: LocalState) -> None:
    begin(state)
    add_card(state, VersionCard(MODEL, 2, "run2", "run2", "/models/2", "aa", T0))
    withdraw(state, MODEL, 2, who="ann", at=T0, why="wrong")

    with pytest.raises(NotDeployable):
        act(state, MODEL, "promote", who="bob", why="yes", now=minute(1), full=True)


def test_without_a_rollout_there_is_nothing_to_say(state: LocalState, tmp_path: Path) -> None:
    with pytest.raises(NoRollout, match="mlops rollout start churn VERSION"):
        act(state, MODEL, "pause", who="ann", why="", now=T0)
    with pytest.raises(NotRouted):
        act(LocalState(str(tmp_path / "other")), MODEL, "pause", who="ann", why="", now=T0)


def test_a_server_that_refuses_ends_the_rollout_unless_traffic_has_changed_since(state: LocalState) -> None:
    generation = begin(state).history[-1].generation
    look(state, "inconclusive", at=1)  # a new generation, the same traffic

    late = refuse(state, MODEL, why="no", now=minute(2), generation=generation - 1)
    after = refuse(state, MODEL, why="it could not load it", now=minute(2), generation=generation)

    assert late.rollout.phase == "running"
    assert (after.rollout.phase, after.challenger, after.champion) == ("rolled_back", None, route(1))
    assert after.history[-1].reason == "churn-2-1, rolled_back: it could not load it"


# What became of a version


def verdict_of(state: LocalState, version: int, *, has_steps: bool = True) -> str:
    card = VersionCard(
        MODEL,
        version,
        f"run{version}",
        f"run{version}",
        f"/models/{version}",
        "aa",
        T0,
        (Decision("approved", "", T0, ""),),
    )
    add_card(state, card)
    return verdict_on(state, MODEL, version, has_steps=has_steps)


def test_the_verdict_on_a_version_is_open_until_its_rollout_ends(state: LocalState) -> None:
    assert verdict_of(state, 2) == "waiting", "approved, its rollout follows"
    begin(state)
    assert verdict_of(state, 2) == "waiting"
    for count in (1, 2, 3):
        look(state, "pass", at=count)
        assert verdict_of(state, 2) == "waiting", "all traffic is not the end yet"
    look(state, "pass", at=4)
    assert verdict_of(state, 2) == "promoted"


@pytest.mark.parametrize("word", ["abort", "roll back", "fall back", "supersede"])
def test_the_verdict_on_a_version_whose_rollout_ended_otherwise_is_rejected(state: LocalState, word: str) -> None:
    begin(state)
    match word:
        case "abort":
            act(state, MODEL, "abort", who="ann", why="no", now=minute(1))
        case "roll back":
            look(state, "fail", at=1)
            look(state, "fail", at=2)
        case "fall back":
            fall_back(state, MODEL, "churn-2-1/0", why="errors", now=minute(1))
        case _:
            begin(state, 3, at=1)

    assert verdict_of(state, 2) == "rejected"


def test_without_steps_an_approved_version_counts_as_promoted_although_nobody_deployed_it(state: LocalState) -> None:
    assert verdict_of(state, 2, has_steps=False) == "promoted"


# Anything in any order

WORDS = st.one_of(
    st.tuples(st.just("start"), st.integers(2, 5)),
    st.tuples(st.just("look"), st.sampled_from(["pass", "pass", "fail", "inconclusive", "no_data"])),
    st.tuples(st.just("act"), st.sampled_from(["pause", "resume", "abort", "promote", "full"])),
    st.tuples(st.sampled_from(["restore", "fall back", "all", "queue"]), st.none()),
)


@settings(max_examples=60)
@given(st.lists(WORDS, max_size=25), st.sampled_from(["supersede", "wait"]), st.sampled_from([0, 1.5]))
def test_traffic_always_is_what_the_rollout_says(words: list, on_new_version: str, hold: float) -> None:
    """Whatever comes in whatever order: state and traffic agree in every stored routing, and a promotion keeps the way back."""
    spec = STEPS.model_copy(update={"on_new_version": on_new_version, "hold_minutes": hold})
    with tempfile.TemporaryDirectory() as folder:
        state = LocalState(folder)
        give_all_traffic(state, MODEL, route(1), now=T0, reason="first")
        for count, (kind, what) in enumerate(words):
            before = stored(state)
            do(state, kind, what, spec, count + 1)
            expect_agreement(before, stored(state))


def do(state: LocalState, kind: str, what: object, spec: RolloutSpec, at: int) -> None:
    label = stored(state).challenger.label if stored(state).challenger else "none/0"
    try:
        match kind:
            case "start":
                begin(state, what, spec, at=at)
            case "look":
                look(state, what, at=at)
            case "act":
                word = "promote" if what == "full" else what
                act(state, MODEL, word, who="ann", why="", now=minute(at), full=what == "full")
            case "restore":
                restore_previous(state, MODEL, now=minute(at), reason="")
            case "fall back":
                fall_back(state, MODEL, label, why="", now=minute(at))
            case "queue":
                start_queued(state, MODEL, spec, now=minute(at))
            case _:
                give_all_traffic(state, MODEL, route(6), now=minute(at), reason="")
    except MlopsError:  # not possible now
        pass


def expect_agreement(before: Routing, after: Routing) -> None:
    rollout, challenger = after.rollout, after.challenger
    if rollout is not None and rollout.is_active:
        percent = rollout.plan["steps"][rollout.step]["percent"]
        assert challenger.route == rollout.challenger != after.champion == rollout.champion
        assert (challenger.share, challenger.is_shadow) == (percent / 100, percent == 0)
    else:
        assert challenger is None
    if (
        after.champion != before.champion
        and rollout is not None
        and rollout.phase == "promoted" != before.rollout.phase
    ):
        assert (after.champion, after.previous) == (rollout.challenger, before.champion)
    changed = (before.champion, before.challenger) != (after.champion, challenger)
    if not changed and before.queued and not after.queued:
        assert after.history[-1].let_go == before.queued.route.version
        changed = True
    assert len(after.history) == len(before.history) + changed
    assert (after.history[-1].route, after.history[-1].challenger) == (after.champion, challenger)
    generations = [entry.generation for entry in after.history]
    assert generations == sorted(set(generations))
