"""kill -9 at random moments: whatever was acknowledged is in the log."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.predictions.log.segments import closed_segments, live_segments, read_lines, recover

WRITER = Path(__file__).with_name("log_writer.py")


def start(folder: Path, name: str, *settings: object) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, str(WRITER), str(folder / "log"), str(folder / f"{name}.ids"), name]
    return subprocess.Popen([*arguments, *map(str, settings)])


def kill_while_it_writes(process: subprocess.Popen[bytes], ids: Path, seconds: float) -> None:
    end = time.monotonic() + 60
    while not (ids.exists() and ids.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()
    process.wait()


def kills(folder: Path, number: int, *, settings: tuple[object, ...], seed: int) -> tuple[int, int, int]:
    """Return acknowledged, logged and torn lines after `number` kills, with two processes at a time in one folder."""
    delays = np.random.default_rng(seed).uniform(0, 0.15, number)
    for start_at in range(0, number, 2):
        names = [f"w{place}" for place in range(start_at, min(start_at + 2, number))]
        processes = [start(folder, name, *settings) for name in names]
        for name, process in zip(names, processes, strict=True):
            kill_while_it_writes(process, folder / f"{name}.ids", delays[int(name[1:])])
    return check(folder, number)


def check(folder: Path, number: int) -> tuple[int, int, int]:
    """Recover, and compare what was acknowledged with what the files hold."""
    torn_live = sum(read_lines(path)[1] for path in live_segments(folder / "log"))
    sizes = {path.with_suffix(".jsonl"): path.stat().st_size for path in live_segments(folder / "log")}
    assert len(recover(folder / "log")) == len(sizes) > 0
    assert {path: path.stat().st_size for path in sizes} == sizes, "nothing is cut off"
    assert live_segments(folder / "log") == []
    logged, torn = [], 0
    for path in closed_segments(folder / "log"):
        lines, counted = read_lines(path)
        logged += [json.loads(line)["id"] for line in lines]  # a torn line in the middle would not be JSON
        torn += counted
    assert torn == torn_live <= number
    assert len(logged) == len(set(logged))
    acknowledged = {line for ids in folder.glob("*.ids") for line in ids.read_text().split("\n")[:-1]}
    assert acknowledged <= set(logged)
    return len(acknowledged), len(logged), torn


@pytest.mark.slow
def test_no_acknowledged_line_is_lost_by_kill_9(tmp_path):
    acknowledged, _, _ = kills(tmp_path, 8, settings=(32, 600, 2**20), seed=1)
    assert acknowledged > 8 * 32 * 3


@pytest.mark.slow
def test_nor_where_the_groups_are_so_long_that_a_kill_falls_into_a_write(tmp_path):
    kills(tmp_path, 4, settings=(32, 40_000, 2**25), seed=2)


@pytest.mark.slow
def test_nor_where_each_group_waits_for_the_disk(tmp_path):
    kills(tmp_path, 2, settings=(16, 600, 2**20, "fsync"), seed=3)


if __name__ == "__main__":  # python tests/serving/test_capture_kills.py FOLDER KILLS: a longer run by hand
    for round_, settings in enumerate([(32, 600, 2**20), (32, 40_000, 2**25)]):
        place = Path(sys.argv[1]) / str(round_)
        place.mkdir(parents=True)
        print(settings, kills(place, int(sys.argv[2]), settings=settings, seed=round_))  # noqa: T201
