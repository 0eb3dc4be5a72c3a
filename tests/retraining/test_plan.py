from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.retraining.events import new_event
from mlops_assets.retraining.plan import Close, Defer, Launch, RunState, Wait, plan
from mlops_assets.retraining.spec import RetrainingSpec

NOW = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def event(window="w1", kind="drift", now=NOW - DAY):
    return new_event(
        "m", version=1, kind=kind, window=window, subject="p", reasons=(f"{window} moved",), evidence={}, now=now
    )


def decide(*events, runs=None, retrained_at=(), active=False, **spec):
    return plan(events, runs=runs or {}, spec=RetrainingSpec(**spec), retrained_at=retrained_at, now=NOW, active=active)


def failed(times):
    return [RunState(f"r{i}", "failed") for i in range(times)]


def test_nothing_open_is_nothing_to_do():
    assert decide() == ()


def test_events_are_answered_by_one_run_that_names_them_all():
    first, second = event("w1"), event("w2")
    assert decide(first, second) == (Launch((first.id, second.id), f"{first.id}:1", ("w1 moved", "w2 moved")),)


def test_the_same_situation_gives_the_same_run_key_and_a_failure_the_next():
    one = event()
    assert decide(one) == decide(one)
    (launch,) = decide(one, runs={one.id: failed(2)})
    assert launch.run_key == f"{one.id}:3"


def test_attempts_end():
    one, other = event("w1"), event("w2")
    decisions = decide(one, other, runs={one.id: failed(3)})
    assert decisions == (
        Close(one.id, "failed", ("r0", "r1", "r2")),
        Launch((other.id,), f"{other.id}:1", ("w2 moved",)),
    )


@pytest.mark.parametrize("status", ["succeeded", "failed"])
@pytest.mark.parametrize("verdict", ["promoted", "rejected"])
def test_a_verdict_closes_the_event_whatever_became_of_the_run(status, verdict):
    one = event()
    runs = {one.id: [*failed(1), RunState("r9", status, verdict)]}
    assert decide(one, runs=runs) == (Close(one.id, verdict, ("r0", "r9")),)


def test_an_event_whose_version_waits_for_approval_stays_open_and_starts_nothing():
    one, other = event("w1"), event("w2")
    runs = {one.id: [*failed(2), RunState("r9", "succeeded", "waiting")]}  # three attempts, and yet not a failure
    wait, launch = decide(one, other, runs=runs)
    assert (wait.event_ids, wait.reason) == (
        (one.id,),
        "a version that answers them waits for approval, or is being rolled out",
    )
    assert launch.event_ids == (other.id,)


def test_a_version_that_waits_outlasts_a_rejected_one_and_yields_to_a_promoted_one():
    one, waiting = event(), RunState("r2", "succeeded", "waiting")
    (wait,) = decide(one, runs={one.id: [RunState("r1", "failed", "rejected"), waiting]})
    assert isinstance(wait, Wait)
    (close,) = decide(one, runs={one.id: [RunState("r1", "succeeded", "promoted"), waiting]})
    assert close.verdict == "promoted"


def test_an_event_to_investigate_is_closed_as_held_and_never_retrains():
    fault, drift = event("w1", kind="investigate"), event("w2")
    decisions = decide(fault, drift)
    assert decisions[0] == Close(fault.id, "held")
    assert decisions[1].event_ids == (drift.id,)


@pytest.mark.parametrize("elsewhere", [True, False], ids=["by something else", "for this event"])
def test_one_retraining_at_a_time(elsewhere):
    one, other = event("w1"), event("w2")
    runs = {} if elsewhere else {one.id: [RunState("r1", "active")]}
    (wait,) = decide(one, other, runs=runs, active=elsewhere)
    assert isinstance(wait, Wait)
    assert wait.event_ids == (one.id, other.id)


def test_events_in_the_cooldown_wait_for_its_end_and_are_told_once():
    one, last = event(), NOW - 3 * DAY
    (defer,) = decide(one, retrained_at=[last - 20 * DAY, last])
    assert defer == Defer(one.id, last + 14 * DAY)
    told = type(one)(**{**vars(one), "deferred_until": defer.until})
    assert decide(told, retrained_at=[last]) == ()
    (launch,) = plan([told], runs={}, spec=RetrainingSpec(), retrained_at=[last], now=defer.until, active=False)
    assert isinstance(launch, Launch)


def test_a_person_does_not_wait_for_the_cooldown():
    asked, drift = event(None, kind="manual"), event("w1")
    (launch,) = decide(asked, drift, retrained_at=[NOW - DAY])
    assert launch.event_ids == (asked.id, drift.id)


def test_the_budget_frees_when_the_oldest_retraining_is_thirty_days_old():
    times = [NOW - 29 * DAY, NOW - 20 * DAY]
    (defer,) = decide(event(), retrained_at=times, budget_per_30d=2)
    assert defer.until == NOW + DAY
    (launch,) = decide(event(), retrained_at=[NOW - 30 * DAY, NOW - 20 * DAY], budget_per_30d=2)
    assert isinstance(launch, Launch)


@given(
    kinds=st.lists(st.sampled_from(["drift", "investigate", "manual", "schedule"]), max_size=5),
    statuses=st.lists(
        st.lists(
            st.builds(
                RunState,
                st.just("r"),
                st.sampled_from(["active", "succeeded", "failed"]),
                st.sampled_from([None, "promoted", "rejected", "waiting"]),
            ),
            max_size=4,
        ),
        min_size=5,
        max_size=5,
    ),
    ages=st.lists(st.floats(0, 60), max_size=6),
    budget=st.one_of(st.none(), st.integers(1, 3)),
    active=st.booleans(),
)
def test_whatever_the_situation(kinds, statuses, ages, budget, active):
    """At most one launch; none beside an active run; every event in one decision at most; investigations never launch."""
    events = [event(f"w{i}", kind=kind) for i, kind in enumerate(kinds)]
    runs = {one.id: states for one, states in zip(events, statuses, strict=False)}
    times = [NOW - age * DAY for age in ages]
    decisions = decide(*events, runs=runs, retrained_at=times, budget_per_30d=budget, active=active)
    launches = [decision for decision in decisions if isinstance(decision, Launch)]
    named = [
        event_id
        for decision in decisions
        for event_id in (decision.event_ids if isinstance(decision, Launch | Wait) else (decision.event_id,))
    ]
    assert len(launches) <= (0 if active else 1)
    assert len(named) == len(set(named))
    assert all(decision.until > NOW for decision in decisions if isinstance(decision, Defer))
    by_id = {one.id: one for one in events}
    for launch in launches:
        asked = [by_id[event_id] for event_id in launch.event_ids]
        assert all(one.kind != "investigate" for one in asked)
        if all(one.kind != "manual" for one in asked):
            assert all(at + 14 * DAY <= NOW for at in times)
            assert budget is None or sum(at > NOW - 30 * DAY for at in times) < budget
