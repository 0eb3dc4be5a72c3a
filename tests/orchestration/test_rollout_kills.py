"""A run of the rollout that is killed at any point of its look: traffic is never ahead of the state, and the next run goes on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import Shop, value
from shop.location import make_location
from shop.rolling import JOB, SHARES, expect_agreement, roll, routing_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]
ROOT = Path(__file__).parents[2]
POINTS = ["is about to swap", "has swapped", "mirrors"]  # each step is left by a run that is killed there

LOOK = """
import os, signal, sys
from pathlib import Path
from mlops_assets.cli.demo.replay import Replay
from mlops_assets.clock import SimulatedClock
from mlops_assets.definitions import build_definitions
from mlops_assets.resources.instance import open_instance
from mlops_assets.settings import load_settings
defs, tick, point = sys.argv[1:]
has_swapped = False
def watch(event, arguments):
    global has_swapped
    place = str(arguments[1 if event == "os.rename" else 0]) if arguments else ""
    found = {
        "is about to swap": event == "os.rename" and place.endswith("routing/returns.json"),
        "has swapped": has_swapped,
        "mirrors": has_swapped and event.startswith("sqlite3.connect") and place.endswith("mlflow.db"),
    }
    if found[point] and event != "os.kill":
        os.kill(os.getpid(), signal.SIGKILL)
    has_swapped = has_swapped or found["is about to swap"]
settings = load_settings()
with open_instance(settings) as instance:
    replay = Replay(build_definitions(Path(defs), strict=True), instance, SimulatedClock(settings.home / "clock"))
    sys.addaudithook(watch)
    replay.run("returns_rollout", tags={"mlops/rollout_tick": tick})
"""


@pytest.fixture
def rolling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Return a shop, on an instance that other processes share, in which version 2 has begun and does well at every step."""
    for location in make_location(tmp_path, monkeypatch):
        shop = location.shop
        roll(shop)
        yield shop


def look_and_be_killed(shop: Shop, point: str) -> None:
    rollout = routing_of(shop).rollout
    code = [sys.executable, "-c", LOOK, str(shop.defs), f"{rollout.id}:{rollout.ticks}", point]
    path = f"{ROOT}:{ROOT / 'tests'}"
    done = subprocess.run(
        code, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, f"it was not killed when it {point}\n{done.stderr}"


def close_killed_run(shop: Shop) -> None:
    """Do what run monitoring does with a run whose process is gone."""
    (run,) = shop.replay.instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=[dg.DagsterRunStatus.STARTED]))
    shop.replay.instance.report_run_failed(run)


def test_a_look_that_is_killed_anywhere_leaves_a_whole_state_and_is_done_once(rolling: Shop) -> None:
    for step, point in enumerate(POINTS):
        was_swapped = point in ("has swapped", "mirrors")
        rolling.replay.clock.set(rolling.replay.clock.now() + timedelta(minutes=1))
        look_and_be_killed(rolling, point)

        routing = routing_of(rolling)
        expect_agreement(routing)
        assert routing.rollout.ticks == step + was_swapped
        assert rolling.replay.tick("rollouts") == [], "the killed run counts as running until somebody notices"
        close_killed_run(rolling)
        again = rolling.replay.tick("rollouts")

        assert len(again) == (not was_swapped or step == len(POINTS) - 1), (
            "an undone look, or an end that nothing shows"
        )
        expect_agreement(routing_of(rolling))
        assert routing_of(rolling).rollout.ticks == step + 1

    assert value(again[0], "rollout", "phase") == "promoted"
    assert [one.what for one in routing_of(rolling).rollout.actions] == [
        *("step shadow", "step 50 %", "step 100 %", "promoted")
    ]
    assert [entry.challenger.share if entry.challenger else None for entry in routing_of(rolling).history] == [
        None,
        *SHARES,
        None,
    ]
    assert rolling.replay.tick("rollouts") == []
