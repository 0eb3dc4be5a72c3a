"""From drift to a new version: what the sensor asks for, once, and how an event ends."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from shop.deployment import JOB, TRAINING_WEEKS, Shop, value
from shop.world import Week, week_start, write_orders

from mlops_assets.lake.state import open_state
from mlops_assets.retraining.events import Event, EventLog, new_event
from mlops_assets.retraining.held import held_windows
from mlops_assets.rollout.routing import read_routing


def open_event(shop: Shop, subject: str = "a", kind: str = "drift") -> Event:
    event = new_event(
        "returns",
        version=1,
        kind=kind,
        window=shop.key(0),
        subject=subject,
        reasons=("amount: PSI 0.4",),
        evidence={"amount": 0.4},
        now=shop.replay.clock.now(),
    )
    assert EventLog(open_state(shop.lake)).open_event(event)
    return event


def stored(shop: Shop, event: Event) -> Event:
    return next(one for one in EventLog(open_state(shop.lake)).history("returns") if one.id == event.id)


def ask(shop: Shop) -> list[dg.RunRequest]:
    """Evaluate the sensor without running what it asks for."""
    definitions = shop.replay.definitions
    context = dg.build_sensor_context(
        instance=shop.replay.instance, definitions=definitions, resources=dict(definitions.resources)
    )
    return list(definitions.resolve_sensor_def("retraining").evaluate_tick(context).run_requests or [])


def test_nothing_is_asked_for_without_an_open_event(shop: Shop) -> None:
    assert ask(shop) == []


def test_the_same_event_twice_has_the_same_run_key_and_says_why(shop: Shop) -> None:
    event = open_event(shop)

    first, second = ask(shop), ask(shop)

    assert [request.run_key for request in first] == [f"{event.id}:1"] == [request.run_key for request in second]
    assert first[0].job_name == JOB
    assert first[0].tags["mlops/events"] == event.id
    assert first[0].tags["mlops/reason"] == "amount: PSI 0.4"


def test_events_that_wait_together_are_answered_by_one_run(shop: Shop) -> None:
    events = [open_event(shop, subject) for subject in "abc"]

    (request,) = ask(shop)

    assert set(request.tags["mlops/events"].split(",")) == {event.id for event in events}


def test_an_investigation_ends_as_held_and_starts_no_run(shop: Shop) -> None:
    event = open_event(shop, kind="investigate")

    assert ask(shop) == []
    assert stored(shop, event).verdict == "held"


@pytest.mark.slow
def test_an_event_is_closed_with_what_became_of_its_candidate(shop: Shop) -> None:
    shop.prepare()
    event = open_event(shop)

    (run,) = shop.replay.tick("retraining")
    again = shop.replay.tick("retraining")

    assert run.success
    assert again == []
    assert stored(shop, event).verdict == "promoted"
    assert stored(shop, event).run_ids == (run.run_id,)


@pytest.mark.slow
def test_a_rejected_candidate_ends_the_event_too(shop: Shop) -> None:
    shop.deploy()
    event = open_event(shop)

    (run,) = shop.replay.tick("retraining")  # the same data again: a tie
    shop.replay.tick("retraining")

    assert not run.success
    assert stored(shop, event).verdict == "rejected"


@pytest.mark.slow
def test_an_event_inside_the_cool_down_waits_for_its_end(shop: Shop) -> None:
    shop.prepare()
    open_event(shop, "first")
    shop.replay.tick("retraining")
    shop.replay.clock.set(week_start(TRAINING_WEEKS) + timedelta(days=2))
    event = open_event(shop, "second")

    assert ask(shop) == []
    assert stored(shop, event).deferred_until == week_start(TRAINING_WEEKS) + timedelta(days=7)

    shop.replay.clock.set(week_start(TRAINING_WEEKS) + timedelta(days=7))
    assert [request.run_key for request in ask(shop)] == [f"{event.id}:1"]


@pytest.mark.slow
def test_a_failed_run_is_tried_three_times(shop: Shop) -> None:
    event = open_event(shop)  # nothing is ingested: training fails

    runs = [run for _ in range(4) for run in shop.replay.tick("retraining")]

    assert len(runs) == 3
    keys = [shop.replay.instance.get_run_by_id(run.run_id).tags["dagster/run_key"] for run in runs]
    assert keys == [f"{event.id}:{attempt}" for attempt in (1, 2, 3)]
    assert stored(shop, event).verdict == "failed"


@pytest.mark.slow
def test_a_change_of_unit_is_investigated_and_stays_out_of_training(shop: Shop) -> None:
    faulty = TRAINING_WEEKS + 5
    weeks = [Week(scale=100.0) if index == faulty else Week() for index in range(25)]
    write_orders(shop.orders, weeks)
    shop.deploy()

    decisions = {index: value(shop.serve_week(index), "drift_report", "decision") for index in range(12, 19)}
    shop.replay.tick("retraining")
    trained = shop.materialize("training_set")

    investigated = [index for index, decision in decisions.items() if decision == "investigate"]
    assert investigated[0] == faulty  # the week after may follow: its mean of the last five orders holds faulty ones
    assert set(decisions.values()) == {"hold", "investigate"}
    held = [held.window.key for held in held_windows(open_state(shop.lake), "returns")]
    assert held == [shop.key(index) for index in investigated]
    assert value(trained, "training_set", "held_rows") == 420 * len(held)
    routing, _ = read_routing(open_state(shop.lake), "returns")
    assert routing.champion.version == 1


def test_schedules_ask_for_the_last_complete_window(shop: Shop) -> None:
    repository = shop.replay.definitions.get_repository_def()
    schedule = repository.get_schedule_def("shop_ingest_schedule")
    at = datetime(2024, 2, 4, 6, tzinfo=UTC)

    answer = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=at, repository_def=repository))

    assert [request.partition_key for request in answer.run_requests] == ["2024-01-28"]
