"""Servers of one and of two workers under load: swapped, killed, stopped. No request is lost."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.heartbeat import Applied, Heartbeat, LoadFailed, wait_for_generation
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic
from tests.serving.conftest import save_model
from tests.serving.fleet import Fleet, load, serving
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
SWAPS, SWAP_SECONDS = 8, 0.4
DRAIN = ("--drain-seconds", "0.6")


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    """Return routes to two saved versions, and to one that is broken."""
    folder = tmp_path_factory.mktemp("versions")
    routes = [Route(one, f"run{one}", str(save_model(folder / str(one), intercept=one))) for one in (1, 2)]
    shutil.copytree(folder / "1", folder / "3")
    (folder / "3" / "model.skops").write_bytes(b"junk")
    return [*routes, Route(3, "run3", str(folder / "3"))]


@pytest.fixture
def give(tmp_path: Path, versions: list[Route]) -> Callable[[int], int]:
    """Give a version all the traffic, and return the generation."""
    state = LocalState(str(tmp_path / "lake" / "dev"))

    def run(version: int) -> int:
        now = datetime.now(UTC)
        return give_all_traffic(state, "churn", versions[version - 1], now=now, reason="test")

    run(1)
    return run


def wait(home: Path, generation: int) -> Any:
    return wait_for_generation(home, "churn", generation, env="dev", timeout_s=60)


def swap_and_fail(fleet: Fleet, give: Callable[[int], int], workers: int) -> None:
    """Under load: swap eight times, then route a version that cannot be loaded, then mend it."""
    generation = 0
    with load(fleet.port) as seen:
        for number in range(SWAPS):
            generation = give(2 - number % 2)
            time.sleep(SWAP_SECONDS)
        assert wait(fleet.home, generation) == Applied((fleet.url,) * workers)
        outcome = wait(fleet.home, give(3))
        assert isinstance(outcome, LoadFailed)
        assert "CorruptArtifact" in outcome.error
        assert wait(fleet.home, give(2)) == Applied((fleet.url,) * workers)

    assert seen.lost == []
    assert seen.refused == 0
    assert set(seen.versions) == {1, 2}
    assert [beat.models["churn"].version for beat in fleet.workers()] == [2] * workers


def stop_under_load(fleet: Fleet, number: signal.Signals = signal.SIGTERM, *, orphans: int = 0) -> None:
    """Stop a server under load.

    Args:
        orphans: Segments of the log left by workers that were killed.
    """
    with load(fleet.port) as seen:
        until(lambda: seen.answers[200] > 100)
        assert fleet.stop(number) == 0
        answered = seen.answers[200]

    assert seen.lost == []
    assert seen.goodbyes > 3 * 12, "every lasting connection was told, and whoever came again was served"
    assert answered > 100
    assert seen.refused == 16, "at last nobody listens"
    assert list((fleet.home / "servers" / "dev").iterdir()) == []
    assert len(list(fleet.home.glob("capture/**/*.open"))) == orphans, "the log is closed"
    assert "Traceback" not in (fleet.home / "stderr.txt").read_text()


def test_one_worker_swaps_and_stops_without_a_lost_request(tmp_path: Path, give: Callable[[int], int]) -> None:
    with serving(tmp_path, *DRAIN) as fleet:
        fleet.wait_for_workers(1)
        swap_and_fail(fleet, give, 1)
        stop_under_load(fleet)


def test_two_workers_count_die_swap_and_stop_without_a_lost_request(tmp_path: Path, give: Callable[[int], int]) -> None:
    with serving(tmp_path, "--workers", "2", *DRAIN) as fleet:
        first, second = fleet.wait_for_workers(2)
        assert (first.slot, second.slot, first.workers, first.restarts) == (0, 1, 2, 0)
        asked = count_everything(fleet)
        asked += let_one_go(fleet, first)
        at_least, lost = kill_one(fleet, second, give)
        # The killed worker may have counted a request whose reply it could not send any more.
        [total] = {counted(fleet) for _ in range(6)}
        assert asked + at_least <= total <= asked + at_least + lost
        assert fleet.samples()["mlops_worker_restarts_total",] == 2
        swap_and_fail(fleet, give, 2)
        stop_under_load(fleet, orphans=1)
    assert list((tmp_path / "metrics").iterdir()) == []


def count_everything(fleet: Fleet) -> int:
    """Check that every worker works, and that each of them knows of all requests; return how many."""
    with load(fleet.port) as seen:
        until(lambda: all(sum(one.requests for one in beat.recent) > 50 for beat in fleet.workers()))
    assert seen.lost == []
    assert {counted(fleet) for _ in range(6)} == {seen.answers[200]}, "whichever worker answers"
    until(lambda: sum(one.requests for beat in fleet.workers() for one in beat.recent) == seen.answers[200])
    assert all(0 < one.p50_ms <= one.p99_ms for beat in fleet.workers() for one in beat.recent)
    return seen.answers[200]


def let_one_go(fleet: Fleet, worker: Heartbeat) -> int:
    """Let an operator stop one worker alone, under load; return how many requests were answered."""
    with load(fleet.port) as seen:
        until(lambda: seen.answers[200] > 100)
        os.kill(worker.pid, signal.SIGTERM)
        until(lambda: [beat.restarts for beat in fleet.workers()] == [1, 0])
    assert (seen.lost, seen.refused) == ([], 0)
    return seen.answers[200]


def kill_one(fleet: Fleet, worker: Heartbeat, give: Callable[[int], int]) -> tuple[int, int]:
    """Kill a worker under load and swap meanwhile; return how many requests were answered, and how many lost."""
    with load(fleet.port) as seen:
        until(lambda: seen.answers[200] > 100)
        os.kill(worker.pid, signal.SIGKILL)
        answered = seen.answers[200]
        until(lambda: seen.answers[200] > answered + 50)
        generation = give(2)
        until(lambda: [beat.restarts for beat in fleet.workers()] == [1, 1])
        assert wait(fleet.home, generation) == Applied((fleet.url,) * 2)
    assert seen.refused == 0
    assert len(seen.lost) <= 16, "only what the killed worker had in hand"
    assert fleet.samples()["mlops_routing_generation", "churn"] == generation
    return seen.answers[200], len(seen.lost)


def counted(fleet: Fleet) -> float:
    """Return how many requests all workers together have counted."""
    found = {key: value for key, value in fleet.samples().items() if key[0] == "mlops_requests_total"}
    assert all(key[2] == "200" for key in found)
    return sum(found.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_is_told_to_stop_loses_no_request(
    tmp_path: Path, give: Callable[[int], int], workers: int, number: signal.Signals
) -> None:
    with serving(tmp_path, "--workers", str(workers), *DRAIN) as fleet:
        fleet.wait_for_workers(workers)
        stop_under_load(fleet, number)


@pytest.fixture
def patient(tmp_path: Path, give: Callable[[int], int]) -> Iterator[tuple[Fleet, socket.socket]]:
    """Return a server that waits long for its callers, and a caller who says nothing."""
    with serving(tmp_path, "--workers", "2", "--drain-seconds", "60") as fleet:
        fleet.wait_for_workers(2)
        with socket.create_connection(("127.0.0.1", fleet.port)) as caller:
            yield fleet, caller


def test_a_draining_server_answers_on_with_503_to_health_checks_until_a_second_signal(
    patient: tuple[Fleet, socket.socket], tmp_path: Path
) -> None:
    fleet, _ = patient
    fleet.process.send_signal(signal.SIGTERM)
    until(lambda: fleet.ask("/ping") == (503, '{"draining":true}') and fleet.ask("/ping")[0] == 503)
    until(lambda: all(beat.is_draining for beat in fleet.workers()))
    assert fleet.ask("/invocations", {"instances": [{"x": 0.5}]})[0] == 200

    assert fleet.stop(signal.SIGINT) == 0
    assert list((tmp_path / "servers" / "dev").iterdir()) == []


def test_workers_end_when_their_holder_is_killed(patient: tuple[Fleet, socket.socket]) -> None:
    fleet, caller = patient
    pids = [beat.pid for beat in fleet.workers()]
    caller.close()
    fleet.process.kill()
    fleet.process.wait()

    until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert fleet.workers() == []


def test_a_server_whose_workers_cannot_start_says_so_and_gives_up(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", MLOPS_LAKE="nosuch://place") as fleet:
        assert fleet.process.wait(60) == 1
    assert "ended with exit code" in (tmp_path / "stderr.txt").read_text()
