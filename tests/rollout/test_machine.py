"""Single moves of the machine, each with its counterpart."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from mlops_assets.rollout import machine
from mlops_assets.rollout.errors import NotPossibleNow, RolloutFrozen, RolloutOver
from mlops_assets.rollout.evidence import Evidence
from mlops_assets.rollout.freeze import frozen_until
from mlops_assets.rollout.machine import tick, traffic
from mlops_assets.rollout.spec import FreezeSpec
from mlops_assets.rollout.state import Rollout
from tests.rollout.rollouts import ENOUGH, START, after, begun, judged, look

BY = {"who": "ada", "why": "because"}


def moved(rollout, *outcomes, every=10, requests=ENOUGH):
    """Tick once per outcome."""
    for outcome in outcomes:
        now = (rollout.ticked_at or rollout.since) + timedelta(minutes=every)
        rollout = tick(rollout, look(rollout, now, outcome, requests=requests), now)
    return rollout


def test_a_healthy_rollout_takes_every_step_and_is_promoted():
    rollout = moved(begun(), *["pass"] * 5)
    assert (rollout.phase, rollout.step, rollout.ticks) == ("promoted", 4, 5)
    assert [one.what for one in rollout.actions] == [
        "step shadow",
        "step 5 %",
        "step 25 %",
        "step 50 %",
        "step 100 %",
        "promoted",
    ]
    assert traffic(rollout) is None


def test_the_traffic_of_every_step_has_one_salt_and_a_label_of_its_own():
    rollout, seen = begun(assign_by=["tailnum"], fast_fail={"error_share": 0.3, "window_requests": 7}), []
    while rollout.is_active:
        seen.append(traffic(rollout))
        rollout = moved(rollout, "pass")
    assert [one.share for one in seen] == [0, 0.05, 0.25, 0.5, 1]
    assert [one.is_shadow for one in seen] == [True, False, False, False, False]
    assert [one.label for one in seen] == [f"delay-2-1/{step}" for step in range(5)]
    assert {(one.salt, one.assign_by, one.fast_fail, one.route.version) for one in seen} == {
        ("delay-2-1", ("tailnum",), (0.3, 7), 2)
    }


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_as_many_failed_looks_in_a_row_as_the_limit_says_roll_back(limit):
    rollout = begun(failure_limit=limit)
    assert moved(rollout, *["fail"] * (limit - 1)).phase == "running"
    rolled_back = moved(rollout, *["fail"] * limit)
    assert (rolled_back.phase, rolled_back.actions[-1].why) == ("rolled_back", "error_share says fail.")


def test_a_look_that_does_not_fail_starts_the_count_again():
    assert moved(begun(), "fail", "no_data", "fail").phase == "running"
    assert moved(begun(), "fail", "no_data", "fail", "fail").phase == "rolled_back"


def test_failures_before_the_bake_and_short_of_requests_count():
    assert moved(begun(), "fail", "fail", every=1, requests=3).phase == "rolled_back"


@pytest.mark.parametrize(("minutes", "requests", "step"), [(9.99, 500, 0), (10, 499, 0), (10, 500, 1)])
def test_a_step_takes_its_bake_and_its_requests(minutes, requests, step):
    assert moved(begun(), "pass", every=minutes, requests=requests).step == step


def test_a_step_may_have_a_bake_and_requests_of_its_own():
    rollout = begun(steps=[{"percent": 5, "bake_minutes": 30, "min_requests": 10}, 100])
    assert moved(rollout, "pass", every=29).step == 0
    assert moved(rollout, "pass", every=30, requests=9).step == 0
    assert moved(rollout, "pass", every=30, requests=10).step == 1


@pytest.mark.parametrize("how", ["hold", "pause", "roll_back"])
@pytest.mark.parametrize(
    ("key", "outcome", "requests"),
    [("on_no_data", "pass", 499), ("on_no_data", "no_data", 500), ("on_inconclusive", "inconclusive", 500)],
)
def test_a_step_that_stays_undecided_becomes_what_the_plan_says(how, key, outcome, requests):
    rollout = begun(max_bake_minutes=60, **{key: how})
    assert moved(rollout, outcome, every=59, requests=requests).phase == "running"
    phase = moved(rollout, outcome, every=60, requests=requests).phase
    assert phase == {"hold": "running", "pause": "paused", "roll_back": "rolled_back"}[how]


def test_a_bake_longer_than_the_maximum_is_waited_for():
    rollout = begun(steps=[{"percent": 5, "bake_minutes": 100}, 100], max_bake_minutes=60)
    assert moved(rollout, "inconclusive", every=99).phase == "running"
    assert moved(rollout, "inconclusive", every=100).phase == "paused"


def test_a_dry_run_metric_has_no_say():
    rollout = begun(failure_limit=1)
    seen = Evidence(after(10), 0, ENOUGH, (judged(), judged("fail", metric="latency_p99", dry_run=True)))
    assert tick(rollout, seen, after(10)).step == 1
    failed = tick(rollout, replace(seen, judged=(*seen.judged, judged("fail", metric="null_share"))), after(10))
    assert (failed.phase, failed.actions[-1].why) == ("rolled_back", "null_share says fail.")


def test_evidence_of_another_step_an_old_look_or_the_future_changes_nothing():
    rollout = moved(begun(), "pass")
    now = rollout.since + timedelta(minutes=10)
    assert tick(rollout, look(rollout, now), now).step == 2
    for step in (0, 2):
        assert tick(rollout, look(rollout, now, "fail", step=step), now) is rollout
    for at in (rollout.ticked_at, rollout.since - timedelta(seconds=1), now + timedelta(seconds=1)):
        assert tick(rollout, look(rollout, at, "fail"), now) is rollout


def test_after_a_clock_was_set_back_it_is_judged_on_and_goes_both_ways():
    ahead = moved(begun(), "pass", every=60 * 24)  # a day ahead, where step 5 % began
    wrong = moved(ahead, "inconclusive")
    assert (wrong.step, wrong.since) == (1, after(60 * 24))
    now = after(5)
    failed = tick(wrong, look(wrong, now, "fail"), now)
    assert (failed.ticks, failed.failures, failed.since, failed.looks[-1].since) == (3, 1, now, now)
    assert tick(failed, look(failed, now, "fail"), now) is failed
    assert tick(failed, look(failed, after(6), "fail"), after(6)).phase == "rolled_back"
    assert tick(failed, look(failed, after(14), "pass"), after(14)).step == 1
    assert tick(failed, look(failed, after(15), "pass"), after(15)).step == 2


def test_a_manual_gate_waits_for_a_person():
    waiting = moved(begun(steps=[{"percent": 5, "gate": "manual"}, 100]), "pass", "pass", "pass")
    assert (waiting.phase, traffic(waiting).share) == ("waiting", 0.05)
    promoted = machine.promote(waiting, **BY, now=after(50), full=False)
    assert (promoted.phase, promoted.step, promoted.since) == ("running", 1, after(50))
    assert (promoted.actions[-1].who, promoted.actions[-1].why) == ("ada", "because")


@pytest.mark.parametrize("phase", ["paused", "waiting", "holding"])
def test_what_does_not_go_forward_still_rolls_back(phase):
    rollout = replace(begun(hold_minutes=1000), phase=phase)
    assert moved(rollout, *["pass"] * 20).phase == phase
    assert moved(rollout, "fail", "fail").phase == "rolled_back"


def test_the_champion_is_held_beside_a_challenger_with_all_traffic():
    holding = moved(begun(steps=[100], hold_minutes=30), "pass")
    assert (holding.phase, traffic(holding).share) == ("holding", 1)
    assert moved(holding, "pass", every=29).phase == "holding"
    assert moved(holding, "fail", every=31).phase == "holding"
    assert moved(holding, "pass", every=30).phase == "promoted"


def test_a_resumed_step_bakes_anew_and_may_be_undecided_as_long_again():
    paused = moved(begun(max_bake_minutes=60), "no_data", every=60)
    resumed = machine.resume(paused, **BY, now=after(100))
    assert (paused.phase, resumed.phase, resumed.step, resumed.since) == ("paused", "running", 0, after(100))
    assert tick(resumed, look(resumed, after(109)), after(109)).step == 0
    assert tick(resumed, look(resumed, after(110)), after(110)).step == 1
    assert tick(resumed, look(resumed, after(159), "no_data"), after(159)).phase == "running"


def test_a_pause_can_be_promoted_to_the_next_step_and_everything_to_the_end():
    paused = machine.pause(begun(), **BY, now=after(1))
    assert machine.promote(paused, **BY, now=after(2), full=False).step == 1
    last = machine.promote(replace(paused, step=4), **BY, now=after(2), full=False)
    assert last.phase == "promoted"
    held = machine.promote(replace(begun(hold_minutes=1), phase="paused", step=4), **BY, now=after(2), full=False)
    assert held.phase == "holding"
    for phase in ("running", "paused", "waiting", "holding"):
        full = machine.promote(replace(begun(hold_minutes=1), phase=phase), **BY, now=after(2), full=True)
        assert (full.phase, full.step) == ("promoted", 4)


def test_a_failed_look_at_one_step_does_not_count_at_the_next_or_after_a_pause():
    failed = moved(machine.pause(begun(), **BY, now=after(1)), "fail")
    assert (failed.phase, failed.failures) == ("paused", 1)
    for on in (machine.resume(failed, **BY, now=after(20)), machine.promote(failed, **BY, now=after(20), full=False)):
        now = after(21)
        assert tick(on, look(on, now, "fail"), now).phase == "running"


FREEZE = {"freeze": [{"start": "0 16 * * 5", "hours": 64}]}
FROZEN, THAWED = after(5 * 60), after(68 * 60)


def test_in_a_freeze_nothing_goes_forward_and_everything_goes_back():
    shadow = begun(**FREEZE)
    assert tick(shadow, look(shadow, FROZEN), FROZEN).step == 0
    assert tick(shadow, look(shadow, THAWED), THAWED).step == 1
    failing = begun(**FREEZE, failure_limit=1)
    assert tick(failing, look(failing, FROZEN, "fail"), FROZEN).phase == "rolled_back"
    assert machine.abort(shadow, **BY, now=FROZEN).phase == "aborted"
    with pytest.raises(RolloutFrozen, match="2024-03-04T08:00:00"):
        machine.promote(machine.pause(shadow, **BY, now=FROZEN), **BY, now=FROZEN, full=True)
    with pytest.raises(RolloutFrozen):
        begun(**FREEZE, steps=[5, 100], now=FROZEN)
    assert begun(**FREEZE, now=FROZEN).phase == "running"
    holding = replace(begun(**FREEZE, hold_minutes=1), phase="holding", step=4)
    assert tick(holding, look(holding, FROZEN), FROZEN).phase == "holding"
    assert tick(holding, look(holding, THAWED), THAWED).phase == "promoted"


def test_a_freeze_begins_with_its_minute_and_ends_before_its_end():
    window = [FreezeSpec(start="0 16 * * 5", hours=64)]
    begins, ends = START.replace(hour=16), after(68 * 60)
    tiny = timedelta(microseconds=1)
    assert [frozen_until(window, at) for at in (begins - tiny, begins, ends - tiny, ends)] == [None, ends, ends, None]
    daily = FreezeSpec(start="0 12 * * *", hours=1)
    assert frozen_until([daily, *window], after(24 * 60)) == ends


@pytest.mark.parametrize(
    ("phase", "action"),
    [
        *((phase, "pause") for phase in ("paused", "waiting", "holding")),
        *((phase, "resume") for phase in ("running", "waiting", "holding")),
        *((phase, "promote") for phase in ("running", "holding")),
    ],
)
def test_what_makes_no_sense_in_a_phase_is_refused_with_a_way_out(phase, action):
    rollout = replace(begun(), phase=phase)
    more = {"full": False} if action == "promote" else {}
    with pytest.raises(NotPossibleNow, match=f"delay-2-1: {action}: found phase {phase}; required phase") as caught:
        getattr(machine, action)(rollout, **BY, now=after(1), **more)
    assert "bort" in caught.value.remedy


@pytest.mark.parametrize("phase", ["promoted", "rolled_back", "aborted", "superseded"])
@pytest.mark.parametrize("action", ["pause", "resume", "promote", "abort", "roll_back", "supersede"])
def test_an_ended_rollout_refuses_everything(phase, action):
    ended = replace(begun(), phase=phase)
    more = {"full": True} if action == "promote" else {}
    with pytest.raises(RolloutOver, match="a rollout that is under way"):
        getattr(machine, action)(ended, **BY, now=after(1), **more)


def test_the_newest_look_of_each_step_is_kept_with_their_count():
    rollout = moved(begun(), "inconclusive", "pass", "pass", "no_data", requests=777)
    assert [(one.step, one.percent, one.looks, one.requests) for one in rollout.looks] == [
        (0, 0, 2, 777),
        (1, 5, 1, 777),
        (2, 25, 1, 777),
    ]
    assert rollout.looks[2].judged == (judged("no_data"),)
    assert [one.since for one in rollout.looks] == [START, after(20), after(30)]


def test_a_rollout_survives_its_way_through_json():
    rollout = moved(begun(**FREEZE), "pass", "inconclusive", "fail")
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(rollout)), Rollout) == rollout
