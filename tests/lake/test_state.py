"""State objects: one suite for every store, and processes that race or die on the local one."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_assets.lake.state import (
    LocalState,
    StateConflict,
    StateStore,
    UnreadableState,
    UnsupportedState,
    open_state,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def state(tmp_path) -> StateStore:
    return open_state(str(tmp_path))


def test_a_store_starts_empty(state):
    assert state.read("routing/m") is None
    assert state.keys("") == []


def test_each_swap_needs_the_generation_before_it(state):
    assert state.swap("routing/m", {"champion": 1}, generation=0) == 1
    assert state.swap("routing/m", {"champion": 2}, generation=1) == 2
    for stale in (0, 1, 3):
        with pytest.raises(StateConflict, match=f"found generation 2; required generation {stale}"):
            state.swap("routing/m", {"champion": 9}, generation=stale)
    assert state.read("routing/m") == ({"champion": 2}, 2)


def test_put_if_absent_keeps_the_first(state):
    assert state.put_if_absent("events/m/1", {"n": 1})
    assert not state.put_if_absent("events/m/1", {"n": 2})
    assert state.read("events/m/1") == ({"n": 1}, 1)


def test_keys_are_those_of_the_prefix_sorted(state):
    for key in ("events/b/2", "events/b/1", "events/bb/1", "held/b"):
        state.put_if_absent(key, {})
    assert state.keys("events/b/") == ["events/b/1", "events/b/2"]
    assert state.keys("events/b") == ["events/b/1", "events/b/2", "events/bb/1"]
    assert state.keys("") == ["events/b/1", "events/b/2", "events/bb/1", "held/b"]


def test_an_object_of_another_schema_version_is_refused(state, tmp_path):
    state.put_if_absent("m", {})
    file = tmp_path / "m.json"
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(UnreadableState, match="State m: found schema_version 2"):
        state.read("m")
    file.write_text("[]")
    with pytest.raises(UnreadableState, match="no state object"):
        state.read("m")


def test_a_place_without_a_store_is_refused():
    with pytest.raises(UnsupportedState, match="s3://bucket"):
        open_state("s3://bucket/dev")


COUNTER = """
import sys
from mlops_assets.lake.state import StateConflict, open_state
state = open_state(sys.argv[1])
done = 0
while done < 100:
    value, generation = state.read("counter") or ({"n": 0}, 0)
    try:
        state.swap("counter", {"n": value["n"] + 1}, generation=generation)
        done += 1
    except StateConflict:
        pass
"""


@pytest.mark.slow
def test_no_increment_of_racing_processes_is_lost(tmp_path):
    racers = [subprocess.Popen([sys.executable, "-c", COUNTER, str(tmp_path)], cwd=ROOT) for _ in range(3)]
    assert [racer.wait(120) for racer in racers] == [0, 0, 0]
    assert LocalState(str(tmp_path)).read("counter") == ({"n": 300}, 300)


DYING = """
import sys
from mlops_assets.lake.state import open_state
state = open_state(sys.argv[1])
value, generation = state.read("m") or ({"n": 0}, 0)
print("ready", flush=True)
while True:
    value = {"n": value["n"] + 1, "padding": "x" * 200_000}
    generation = state.swap("m", value, generation=generation)
"""


@pytest.mark.slow
def test_a_process_killed_again_and_again_leaves_a_readable_object_and_no_lock(state, tmp_path):
    last = 0
    for attempt in range(12):
        process = subprocess.Popen([sys.executable, "-c", DYING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.003 * attempt)
        process.kill()
        process.wait()
        value, generation = state.read("m") or ({"n": 0}, 0)
        assert value["n"] == generation >= last
        last = generation
    assert last > 0
    assert state.swap("m", {"n": 0}, generation=last) == last + 1
    assert state.keys("") == ["m"]
