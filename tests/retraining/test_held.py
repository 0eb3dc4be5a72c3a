from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.lake.state import open_state
from mlops_assets.lake.windows import Window
from mlops_assets.retraining.held import HeldWindow, held_windows, hold, release

START = datetime(2024, 1, 7, tzinfo=UTC)


def week(index):
    start = START + timedelta(weeks=index)
    return Window(start.date().isoformat(), start, start + timedelta(weeks=1))


@pytest.fixture
def state(tmp_path):
    return open_state(str(tmp_path))


def test_held_windows_read_back_oldest_first_by_model(state):
    for index in (2, 0):
        hold(state, "m", week(index), reason="kilometres", event_id=f"e{index}")
    assert held_windows(state, "m") == (
        HeldWindow(week(0), "kilometres", "e0"),
        HeldWindow(week(2), "kilometres", "e2"),
    )
    assert held_windows(state, "other") == ()


def test_the_first_reason_stays(state):
    hold(state, "m", week(0), reason="first", event_id="e0")
    hold(state, "m", week(0), reason="second", event_id="e1")
    assert [held.reason for held in held_windows(state, "m")] == ["first"]


def test_a_released_window_counts_again(state):
    hold(state, "m", week(0), reason="kilometres", event_id="e0")
    assert release(state, "m", week(0).key)
    assert held_windows(state, "m") == ()
    assert not release(state, "m", week(0).key)


def test_no_window_is_lost_when_several_are_held_at_once(state):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: hold(state, "m", week(index), reason="r", event_id=str(index)), range(8)))
    assert [held.window for held in held_windows(state, "m")] == [week(index) for index in range(8)]
