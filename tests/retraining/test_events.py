from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.lake.state import open_state
from mlops_assets.retraining.events import EventLog, UnknownEvent, new_event

NOW = datetime(2024, 1, 7, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
FACTS = dict(
    version=3, kind="drift", window="2024-01-07", subject="p1", reasons=("x moved",), evidence={"x": 0.3}, now=NOW
)


@pytest.fixture
def log(tmp_path):
    return EventLog(open_state(str(tmp_path)))


def event(model="m", **changes):
    return new_event(model, **{**FACTS, **changes})


def test_the_id_follows_from_the_evidence_and_not_from_the_time():
    same = event(now=LATER, reasons=("other words",))
    different = [
        event("other"),
        event(version=4),
        event(kind="investigate"),
        event(window="2024-01-14"),
        event(subject="p2"),
    ]
    assert same.id == event().id
    assert len({event().id, *(one.id for one in different)}) == 6


def test_an_event_opens_once_and_reads_back_as_it_was(log):
    assert log.open_event(event())
    assert not log.open_event(event(now=LATER))
    assert log.history("m") == [event()]


def test_a_closed_event_does_not_open_again(log):
    log.open_event(event())
    closed = log.close("m", event().id, verdict="promoted", now=LATER, run_ids=("r1",))
    assert (closed.verdict, closed.closed_at, closed.run_ids) == ("promoted", LATER, ("r1",))
    assert not log.open_event(event())
    assert log.open_events() == []


def test_the_first_verdict_stays(log):
    log.open_event(event())
    log.close("m", event().id, verdict="promoted", now=NOW)
    log.close("m", event().id, verdict="failed", now=LATER)
    log.defer("m", event().id, until=LATER)
    (kept,) = log.history("m")
    assert (kept.verdict, kept.closed_at, kept.deferred_until) == ("promoted", NOW, None)


def test_two_closing_at_once_agree_on_one_verdict(log):
    log.open_event(event())
    with ThreadPoolExecutor(8) as pool:
        verdicts = ["promoted", "rejected"] * 8
        closed = list(pool.map(lambda verdict: log.close("m", event().id, verdict=verdict, now=NOW), verdicts))
    assert len({one.verdict for one in closed}) == 1


def test_open_events_are_those_of_the_model_oldest_first(log):
    for one in (event(window="b", now=LATER), event(window="a"), event("m2")):
        log.open_event(one)
    log.open_event(event(window="c"))
    log.close("m", event(window="c").id, verdict="acknowledged", now=NOW)
    assert [one.window for one in log.open_events("m")] == ["a", "b"]
    assert {one.model for one in log.open_events()} == {"m", "m2"}
    assert len(log.history("m")) == 3


def test_deferring_is_remembered(log):
    log.open_event(event())
    log.defer("m", event().id, until=LATER)
    assert log.open_events("m")[0].deferred_until == LATER


def test_an_unknown_id_is_refused_with_the_known_ones(log):
    log.open_event(event())
    with pytest.raises(UnknownEvent, match=event().id):
        log.close("m", "nonsense", verdict="failed", now=NOW)
