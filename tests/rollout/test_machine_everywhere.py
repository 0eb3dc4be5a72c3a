"""What holds of the machine in every phase, after every event: all of them once, then long random lives."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, product

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mlops_assets.errors import MlopsError
from mlops_assets.rollout import machine
from mlops_assets.rollout.assignment import bucket, is_challengers
from mlops_assets.rollout.machine import tick, traffic
from mlops_assets.rollout.state import ACTIVE
from tests.rollout.rollouts import ENOUGH, START, after, begun, look

ENDED = ("promoted", "rolled_back", "aborted", "superseded")
OUTCOMES = ("pass", "fail", "inconclusive", "no_data")
PERCENTS = (0, 5, 25, 50, 100)
BAKE, MAX_BAKE, HOLD = 10, 60, 30
HOW = ("hold", "pause", "roll_back")
FRIDAY_NIGHT = [{"start": "0 11 * * 5", "hours": 1000}]  # START lies within


def share(rollout):
    given = traffic(rollout)
    return 0 if given is None else given.share


STATES = [
    (phase, step, failures)
    for phase, step, failures in product((*ACTIVE, *ENDED), range(len(PERCENTS)), (0, 1))
    if phase != "holding" or step == len(PERCENTS) - 1
]


def all_looks():
    return product(OUTCOMES, (1, BAKE - 0.01, BAKE, HOLD, MAX_BAKE), (0, ENOUGH - 1, ENOUGH), (False, True), HOW)


@pytest.mark.parametrize(("phase", "step", "failures"), STATES)
def test_every_look_in_every_state(phase, step, failures):
    forward = 0
    for outcome, minutes, requests, is_frozen, how in all_looks():
        plan = dict(hold_minutes=HOLD, max_bake_minutes=MAX_BAKE, on_no_data=how, on_inconclusive=how)
        rollout = begun(**plan, freeze=FRIDAY_NIGHT if is_frozen else [])
        rollout = replace(rollout, phase=phase, step=step, failures=failures)
        now = after(minutes)
        new = tick(rollout, look(rollout, now, outcome, requests=requests), now)
        if phase in ENDED:
            assert new is rollout
            continue

        needs = HOLD if phase == "holding" else BAKE
        may_go = outcome != "fail" if phase == "holding" else outcome == "pass" and requests == ENOUGH
        goes = phase in {"running", "holding"} and may_go and minutes >= needs and not is_frozen
        if goes and phase == "running" and step < len(PERCENTS) - 1:
            assert (new.phase, new.step, new.since, new.failures) == ("running", step + 1, now, 0)
            assert share(new) == PERCENTS[step + 1] / 100
        elif goes:
            assert new.phase == ("holding" if phase == "running" else "promoted")
        else:
            is_undecided = phase == "running" and minutes >= MAX_BAKE and how != "hold"
            is_undecided &= outcome in {"no_data", "inconclusive"} or (outcome == "pass" and requests < ENOUGH)
            stopped = {"pause": "paused", "roll_back": "rolled_back"}.get(how)
            expected = "rolled_back" if outcome == "fail" and failures else stopped if is_undecided else phase
            assert (new.phase, new.step) == (expected, step)
            assert share(new) == (0 if expected == "rolled_back" else PERCENTS[step] / 100)
        forward += goes

        assert tick(new, look(rollout, now, outcome, requests=requests), now) == new  # the same again
        assert len(new.actions) - len(rollout.actions) == ((new.phase, new.step) != (phase, step))
    assert forward > 0 or phase not in {"running", "holding"}


@pytest.mark.parametrize(("phase", "step", "failures"), STATES)
def test_evidence_of_another_step_never_counts(phase, step, failures):
    rollout = replace(begun(), phase=phase, step=step, failures=failures)
    for other, outcome in product(set(range(len(PERCENTS))) - {step}, OUTCOMES):
        assert tick(rollout, look(rollout, after(MAX_BAKE), outcome, step=other), after(MAX_BAKE)) is rollout


@pytest.mark.parametrize(("phase", "step", "failures"), STATES)
def test_the_way_back_is_open_in_every_active_state(phase, step, failures):
    rollout = replace(begun(freeze=FRIDAY_NIGHT), phase=phase, step=step, failures=failures)
    for leave, ended in (
        (machine.roll_back, "rolled_back"),
        (machine.abort, "aborted"),
        (machine.supersede, "superseded"),
    ):
        if phase in ENDED:
            with pytest.raises(MlopsError):
                leave(rollout, who="ada", why="no", now=after(1))
        else:
            gone = leave(rollout, who="ada", why="no", now=after(1))
            assert (gone.phase, traffic(gone)) == (ended, None)


@pytest.mark.parametrize("plan", [{}, {"hold_minutes": 30}, {"steps": [100]}, {"steps": ["shadow", 1, 2, 3, 100]}])
@pytest.mark.parametrize(
    "cycle", [["pass"], ["inconclusive", "pass"], ["fail", "pass"], ["inconclusive"], ["fail", "no_data"]]
)
def test_with_data_and_time_a_decision_or_a_pause_comes(plan, cycle):
    rollout = begun(**plan)
    at_most = (len(rollout.plan["steps"]) + 1) * 2 * 360 + 60
    for minute in range(1, at_most):
        now = after(minute)
        rollout = tick(rollout, look(rollout, now, cycle[minute % len(cycle)]), now)
        if rollout.phase not in {"running", "holding"}:
            break
    assert rollout.phase == ("promoted" if "pass" in cycle else "paused")


class Life(RuleBasedStateMachine):
    """Anything that can happen to a rollout, in any order."""

    def __init__(self):
        super().__init__()
        self.now = START
        freeze = [{"start": "0 */6 * * *", "hours": 2}]
        self.rollout = begun(freeze=freeze, hold_minutes=20, max_bake_minutes=40, assign_by=["tailnum"])
        self.before = self.rollout
        self.units = [b"[%d]" % one for one in range(300)]
        self.challengers = set()

    @rule(
        minutes=st.sampled_from([0, 1, 9, 11, 45]),
        outcome=st.sampled_from([*OUTCOMES, "pass", "pass"]),
        requests=st.sampled_from([0, 499, 500, 10_000]),
        off=st.sampled_from([0, 0, 0, 1, -1]),
        old=st.sampled_from([0, 0, 0, 30]),
    )
    def tick(self, minutes, outcome, requests, off, old):
        self.now += timedelta(minutes=minutes)
        seen = look(
            self.rollout, self.now - timedelta(minutes=old), outcome, requests=requests, step=self.rollout.step + off
        )
        self.before, self.rollout = self.rollout, tick(self.rollout, seen, self.now)
        if self.rollout is not self.before:
            assert not off
            assert self.before.ticked_at is None or seen.at > self.before.ticked_at
            assert tick(self.rollout, seen, self.now) == self.rollout
        if share(self.rollout) > share(self.before):
            assert (outcome, self.before.phase) == ("pass", "running")
            assert requests >= 500
            assert self.now - self.before.since >= timedelta(minutes=10)
            assert self.now.hour % 6 >= 2

    @precondition(lambda self: self.rollout.is_active)
    @rule(word=st.sampled_from(["pause", "resume", "promote"]), full=st.sampled_from([False] * 9 + [True]))
    def act(self, word, full):
        more = {"full": full} if word == "promote" else {}
        self.before = self.rollout
        try:
            self.rollout = getattr(machine, word)(self.rollout, who="ada", why="so", now=self.now, **more)
        except MlopsError:
            return
        assert self.rollout.actions[-1].who == "ada"

    @rule(word=st.sampled_from(["abort", "roll_back", "supersede"]), really=st.integers(0, 15))
    def leave(self, word, really):
        if self.rollout.is_active and really == 0:
            self.before, self.rollout = (
                self.rollout,
                getattr(machine, word)(self.rollout, who="", why="so", now=self.now),
            )
            assert not self.rollout.is_active

    @invariant()
    def never_more_than_the_step_and_one_step_at_a_time(self):
        steps, given = [one["percent"] / 100 for one in self.rollout.plan["steps"]], traffic(self.rollout)
        assert (given is None) == (not self.rollout.is_active)
        if given is not None:
            assert given.share == steps[self.rollout.step]
            assert given.is_shadow == (given.share == 0)
            assert self.rollout.step - self.before.step in {0, 1}

    @invariant()
    def what_was_done_is_never_undone(self):
        assert self.rollout.actions[: len(self.before.actions)] == self.before.actions
        assert (self.rollout is self.before) or self.before.is_active

    @invariant()
    def once_a_challengers_unit_always_one(self):
        given = traffic(self.rollout)
        if given is None:
            return
        now = {unit for unit in self.units if is_challengers(unit, given.salt, given.share)}
        assert now >= self.challengers
        self.challengers = now


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_over_the_ramp_a_unit_goes_to_the_challenger_once_and_stays():
    rollout, arms = begun(), []
    units = [b'["N%d"]' % one for one in range(5000)]
    while rollout.is_active:
        given = traffic(rollout)
        arms.append([is_challengers(unit, given.salt, given.share) for unit in units])
        now = rollout.since + timedelta(minutes=10)
        rollout = tick(rollout, look(rollout, now), now)
    assert all(earlier <= later for one, two in pairwise(arms) for earlier, later in zip(one, two, strict=True))
    counts = [sum(arm) for arm in arms]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == 5000
    assert {bucket(unit, rollout.id) for unit in units} != {bucket(unit, "delay-2-2") for unit in units}
