from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.lake.state import open_state
from mlops_assets.lake.windows import Window
from mlops_assets.monitoring.channel import FeatureDrift
from mlops_assets.monitoring.drift import DriftReport
from mlops_assets.retraining.events import EventLog
from mlops_assets.retraining.held import held_windows
from mlops_assets.retraining.respond import respond
from mlops_assets.retraining.triage import Hold, Investigate, Retrain

NOW = datetime(2024, 1, 14, tzinfo=UTC)
WINDOW = Window("2024-01-07", NOW - timedelta(days=7), NOW)
X = FeatureDrift(
    "x", 0.4, 0.2, 0.1, 0.1, 0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 9.0, 4.0, exceeded=True, faults=(), exogenous=False
)
REPORT = DriftReport(
    WINDOW.key, "alarm", 900, baseline=(), history=9, features=(X, replace(X, name="calm", exceeded=False)), score=None
)


@pytest.fixture
def state(tmp_path):
    return open_state(str(tmp_path))


def answer(state, decision, now=NOW):
    return respond(decision, REPORT, state=state, model="m", version=2, window=WINDOW, profile_id="p", now=now)


def test_hold_leaves_no_trace(state):
    assert answer(state, Hold(("calm",))) is None
    assert EventLog(state).history() == []
    assert held_windows(state, "m") == ()


def test_retrain_opens_a_drift_event_with_its_evidence_and_holds_nothing(state):
    answer(state, Retrain(("x moved",)))
    (event,) = EventLog(state).open_events("m")
    assert (event.kind, event.version, event.window, event.opened_at) == ("drift", 2, WINDOW.key, NOW)
    assert (event.reasons, event.evidence) == (("x moved",), {"x": 0.4})
    assert held_windows(state, "m") == ()


def test_investigate_holds_the_window_and_names_its_event(state):
    event = answer(state, Investigate(("x in kilometres", "c new")))
    (held,) = held_windows(state, "m")
    assert (held.window, held.reason, held.event_id) == (WINDOW, "x in kilometres; c new", event.id)
    assert EventLog(state).open_events("m") == [event]


def test_the_same_window_again_changes_nothing(state):
    first = answer(state, Investigate(("x",)))
    EventLog(state).close("m", first.id, verdict="held", now=NOW)
    again = answer(state, Investigate(("x",)), now=NOW + timedelta(days=1))
    assert again.id == first.id
    assert [event.verdict for event in EventLog(state).history("m")] == ["held"]
