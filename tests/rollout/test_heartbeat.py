"""Heartbeats of real processes."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.rollout.heartbeat import (
    FRESH_SECONDS,
    Applied,
    Heartbeat,
    LoadFailed,
    NoServer,
    Serving,
    TimedOut,
    live_servers,
    remove_heartbeat,
    remove_stale_heartbeats,
    wait_for_generation,
    write_heartbeat,
)


@pytest.fixture
def other() -> Iterator[int]:
    """The process id of a second living server."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def beat(
    home: Path, generation: int, *, pid: int = 0, age: float = 0, error: str | None = None, failed: int = 0
) -> Heartbeat:
    pid = pid or os.getpid()
    models = {"churn": Serving(generation, generation, error, failed)}
    written = Heartbeat(pid, f"http://server-{pid}", time.time() - age, models)
    write_heartbeat(home, written, env="dev")
    return written


def wait(home: Path, generation: int, timeout_s: float = 0.2) -> object:
    return wait_for_generation(home, "churn", generation, env="dev", timeout_s=timeout_s)


def test_a_heartbeat_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = beat(tmp_path, 3, error="broken", failed=4)

    assert live_servers(tmp_path, env="dev") == [written]


def test_a_server_of_another_environment_is_not_ours(tmp_path: Path) -> None:
    beat(tmp_path, 3)

    assert live_servers(tmp_path, env="prod") == []


@pytest.mark.parametrize(("age", "found"), [(FRESH_SECONDS - 5, 1), (FRESH_SECONDS + 1, 0)])
def test_a_server_that_no_longer_beats_is_not_live(tmp_path: Path, age: float, found: int) -> None:
    beat(tmp_path, 3, age=age)

    assert len(live_servers(tmp_path, env="dev")) == found


def test_a_killed_server_is_not_live_even_before_its_parent_notices(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    beat(tmp_path, 3, pid=process.pid)
    assert live_servers(tmp_path, env="dev")

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now

    assert live_servers(tmp_path, env="dev") == []
    process.wait()
    assert live_servers(tmp_path, env="dev") == []


def test_a_file_that_is_no_heartbeat_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "servers" / "dev").mkdir(parents=True)
    (tmp_path / "servers" / "dev" / "1.json").write_text('{"pid":')

    assert live_servers(tmp_path, env="dev") == []


def test_a_server_that_stopped_is_gone(tmp_path: Path) -> None:
    beat(tmp_path, 3)
    remove_heartbeat(tmp_path, os.getpid(), env="dev")

    assert wait(tmp_path, 3) == NoServer()


@pytest.mark.parametrize("generation", [4, 5])
def test_applied_when_the_server_has_the_generation_or_a_later_one(tmp_path: Path, generation: int) -> None:
    written = beat(tmp_path, generation)

    assert wait(tmp_path, 4) == Applied((written.url,))


def test_applied_only_when_every_server_follows(tmp_path: Path, other: int) -> None:
    beat(tmp_path, 4)
    late = beat(tmp_path, 3, pid=other)

    assert wait(tmp_path, 4) == TimedOut((late.url,))


def test_it_waits_until_the_server_follows(tmp_path: Path) -> None:
    beat(tmp_path, 3)
    later = threading.Timer(0.5, lambda: beat(tmp_path, 4))
    later.start()

    assert isinstance(wait(tmp_path, 4, timeout_s=30), Applied)
    later.join()


def test_a_load_that_failed_is_reported_at_once_with_its_error(tmp_path: Path) -> None:
    written = beat(tmp_path, 3, error="CorruptArtifact: no such file", failed=4)

    assert wait(tmp_path, 4, timeout_s=30) == LoadFailed(written.url, "CorruptArtifact: no such file")


def test_a_failure_of_an_earlier_generation_does_not_count(tmp_path: Path) -> None:
    written = beat(tmp_path, 2, error="broken", failed=3)

    assert wait(tmp_path, 4) == TimedOut((written.url,))


def test_a_model_that_the_server_does_not_know_yet_times_out(tmp_path: Path) -> None:
    written = beat(tmp_path, 9)

    outcome = wait_for_generation(tmp_path, "fraud", 1, env="dev", timeout_s=0.2)

    assert outcome == TimedOut((written.url,))


def test_what_a_killed_server_left_is_removed_and_the_living_stay(tmp_path: Path, other: int) -> None:
    process = subprocess.Popen(["sleep", "60"])
    living = [beat(tmp_path, 3, pid=pid) for pid in (other, os.getpid())]
    beat(tmp_path, 3, pid=process.pid)
    (tmp_path / "servers" / "dev" / f"{process.pid}.draft").touch()
    process.kill()
    process.wait()

    remove_stale_heartbeats(tmp_path, env="dev")

    assert {path.name for path in (tmp_path / "servers" / "dev").iterdir()} == {f"{one.pid}.json" for one in living}
