import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from serving.log_full import LINE_BYTES, Outcome, fill_and_free

from mlops_assets.clock import SimulatedClock
from mlops_assets.predictions.log.segments import all_segments, closed_segments, live_segments, read_lines
from mlops_assets.serving.capture import Capture
from mlops_assets.serving.options import ServerOptions
from mlops_assets.serving.problems import LogUnavailable

FULL = Path(__file__).with_name("log_full.py")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 60))


def lines_of(folder: Path) -> list[bytes]:
    return [line for path in all_segments(folder) for line in read_lines(path)[0]]


def writes_of_this_process() -> int:
    found = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(found["syscw"])


def test_the_lines_are_in_the_file_when_commit_returns(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path, ServerOptions())
        await capture.commit("m", [b'{"a":1}', b'{"a":2}'])
        (live,) = live_segments(tmp_path / "m/AllTraffic")
        assert live.read_bytes() == b'{"a":1}\n{"a":2}\n'
        assert (capture.lines, capture.bytes, capture.segments) == (2, 16, 0)
        capture.close()
        assert capture.segments == 1

    run(work())
    assert lines_of(tmp_path) == [b'{"a":1}', b'{"a":2}']


def test_what_arrives_in_one_turn_of_the_loop_is_one_write_for_each_file(tmp_path):
    async def work() -> int:
        capture = Capture(tmp_path, ServerOptions())
        for model in ("m", "n"):
            await capture.commit(model, [b"{}"])
        before = writes_of_this_process()
        await asyncio.gather(*(capture.commit(model, [b"{}"]) for model in ("m", "n") for _ in range(100)))
        written = writes_of_this_process() - before
        capture.close()
        return written

    assert run(work()) == 2
    assert len(lines_of(tmp_path)) == 202


def test_feedback_has_files_of_its_own(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path, ServerOptions())
        await asyncio.gather(capture.commit("m", [b"1"]), capture.commit("m", [b"2"], kind="feedback"))
        capture.close()

    run(work())
    assert (lines_of(tmp_path / "m/AllTraffic"), lines_of(tmp_path / "m/feedback")) == ([b"1"], [b"2"])


def test_nothing_is_written_where_the_log_is_off(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path / "log", ServerOptions(log="off"))
        await capture.commit("m", [b"{}"])
        capture.close()
        assert capture.lines == capture.shed_lines == 0

    run(work())
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("line", [b"", b'{"a":\n1}', b"{}\n"])
def test_what_is_not_one_line_is_refused_and_the_others_are_written(tmp_path, line):
    async def work() -> list[Any]:
        capture = Capture(tmp_path, ServerOptions())
        commits = [capture.commit("m", [b"{}"]), capture.commit("m", [b"{}", line]), capture.commit("m", [])]
        results = await asyncio.gather(*commits, return_exceptions=True)
        capture.close()
        return results

    results = run(work())
    assert [type(result) for result in results] == [type(None), ValueError, type(None)]
    assert lines_of(tmp_path) == [b"{}"]


def test_a_hundred_thousand_lines_in_one_group(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path, ServerOptions())
        many = [b'{"id":%d}' % number for number in range(100_000)]
        await asyncio.gather(capture.commit("m", many), capture.commit("m", [b'{"id":-1}']))
        capture.close()

    run(work())
    assert [json.loads(line)["id"] for line in lines_of(tmp_path)] == [*range(100_000), -1]


def test_a_cancelled_request_keeps_no_other_waiting(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path, ServerOptions())
        tasks = [asyncio.ensure_future(capture.commit("m", [b"%d" % number])) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
        capture.close()

    run(work())
    assert lines_of(tmp_path) == [b"0", b"1", b"2"]


def test_closing_writes_what_waits_and_refuses_what_comes_later(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path, ServerOptions())
        waiting = asyncio.ensure_future(capture.commit("m", [b"1"]))
        await asyncio.sleep(0)
        capture.close()
        assert len(closed_segments(tmp_path)) == 1
        await waiting
        with pytest.raises(LogUnavailable):
            await capture.commit("m", [b"2"])

    run(work())
    assert lines_of(tmp_path) == [b"1"]


def test_a_segment_is_closed_at_its_age_without_another_request(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path, ServerOptions(log_seconds=0.05))
        for number in range(2):
            await capture.commit("m", [b"%d" % number])
            end = time.monotonic() + 30
            while capture.segments <= number:
                assert time.monotonic() < end
                await asyncio.sleep(0.01)
            assert live_segments(tmp_path) == []
        capture.close()

    run(work())
    assert len(closed_segments(tmp_path)) == 2


def test_the_folders_follow_a_clock_that_jumps(tmp_path):
    clock = SimulatedClock(tmp_path / "clock")
    noon = datetime(2013, 5, 19, 12, tzinfo=UTC)

    async def work() -> None:
        capture = Capture(tmp_path / "log", ServerOptions(), clock=clock)
        for hours in (0, 2, -30, -30):
            clock.set(noon + timedelta(hours=hours))
            await capture.commit("m", [b"%d" % hours])
        capture.close()

    run(work())
    found = {path.parent.relative_to(tmp_path / "log/m/AllTraffic").as_posix() for path in all_segments(tmp_path)}
    assert found == {"2013/05/19/12", "2013/05/19/14", "2013/05/18/06"}
    assert sorted(lines_of(tmp_path)) == [b"-30", b"-30", b"0", b"2"]


def test_no_request_waits_for_ever_when_the_clock_fails(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path / "log", ServerOptions(), clock=SimulatedClock(tmp_path / "none"))
        with pytest.raises(LogUnavailable, match="none"):
            await capture.commit("m", [b"{}"])
        capture.close()

    run(work())


def test_a_folder_that_is_removed_is_made_again(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path / "log", ServerOptions())
        await capture.commit("m", [b"1"])
        (tmp_path / "log").rename(tmp_path / "moved")
        await capture.commit("m", [b"2"])
        assert lines_of(tmp_path / "log") == [b"2"]
        capture.close()

    run(work())
    assert lines_of(tmp_path / "log") == [b"2"]
    assert lines_of(tmp_path / "moved") == [b"1"]


@pytest.mark.parametrize("log", ["closed", "shed"])
def test_a_folder_that_cannot_be_made_is_tried_again_with_the_next_request(tmp_path, log):
    """A file lies where the folder would be: refused for everybody, also for root."""

    async def work() -> None:
        (tmp_path / "log").write_text("")
        capture = Capture(tmp_path / "log", ServerOptions(log=log))
        if log == "closed":
            with pytest.raises(LogUnavailable) as caught:
                await capture.commit("m", [b"1", b"2"])
            assert caught.value.status == 503
            assert "Free space where" in str(caught.value)
            assert str(tmp_path) not in str(caught.value), "callers learn nothing of our places"
            assert "--log shed" in caught.value.remedy
        else:
            await capture.commit("m", [b"1", b"2"])
        assert (capture.lines, capture.failed_writes) == (0, 1)
        assert capture.shed_lines == (2 if log == "shed" else 0)
        (tmp_path / "log").unlink()
        await capture.commit("m", [b"3"])
        assert capture.lines == 1
        capture.close()

    run(work())
    assert lines_of(tmp_path) == [b"3"]


def test_too_many_open_files_fail_the_request_and_not_the_next(tmp_path):
    async def work() -> None:
        capture = Capture(tmp_path / "log", ServerOptions())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = os.dup(0)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        try:
            with pytest.raises(LogUnavailable, match="Too many open files"):
                await capture.commit("m", [b"1"])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            os.close(used)
        await capture.commit("m", [b"2"])
        capture.close()

    run(work())
    assert lines_of(tmp_path) == [b"2"]


def _assert_nothing_lost(found: Outcome, *, is_shed: bool) -> None:
    """The two groups of ten that did not fit are nowhere; all else is there once, in order."""
    kept = [0, 1, *range(22, 32)]
    assert found.logged == kept
    assert found.acknowledged == (list(range(32)) if is_shed else kept)
    assert found.refused == ([] if is_shed else list(range(2, 22)))
    assert (found.torn, found.partial_bytes) == (0, 0)
    assert (found.lines, found.shed_lines, found.failed_writes) == (12, 20 if is_shed else 0, 2)


@pytest.mark.parametrize("log", ["closed", "shed"])
def test_a_file_size_limit_within_a_group_undoes_the_group(tmp_path, log):
    done = subprocess.run([sys.executable, FULL, tmp_path, log], capture_output=True, text=True, timeout=60, check=True)
    _assert_nothing_lost(Outcome(**json.loads(done.stdout)), is_shed=log == "shed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("log", ["closed", "shed"])
def test_a_full_disk_within_a_group_undoes_the_group(small_disk, log):
    def set_room(is_free: bool) -> None:
        ballast = small_disk / "ballast"
        if is_free:
            ballast.unlink()
        else:
            ballast.write_bytes(b"0" * (2**20 - 7 * LINE_BYTES))

    _assert_nothing_lost(fill_and_free(small_disk / "log", set_room, log=log), is_shed=log == "shed")


def _write_much(folder: str, name: str) -> int:
    async def work() -> int:
        capture = Capture(Path(folder), ServerOptions(log_bytes=5_000, log_seconds=0.02))

        async def one(task: int) -> None:
            for number in range(100):
                await capture.commit("m", [b'{"id":"%s-%d-%d"}' % (name.encode(), task, number)])

        await asyncio.gather(*(one(task) for task in range(20)))
        capture.close()
        return capture.segments

    return run(work())


@pytest.mark.slow
def test_workers_rotate_side_by_side_without_losing_or_mixing_a_line(tmp_path):
    with ProcessPoolExecutor(3) as pool:
        segments = list(pool.map(_write_much, [str(tmp_path)] * 3, "abc"))
    assert live_segments(tmp_path) == []
    assert len(closed_segments(tmp_path)) == sum(segments) >= 15
    found = [json.loads(line)["id"] for line in lines_of(tmp_path)]
    assert sorted(found) == sorted(f"{n}-{task}-{i}" for n in "abc" for task in range(20) for i in range(100))
    of_one_task: dict[str, list[int]] = {}
    for line in lines_of(tmp_path):
        name, task, number = json.loads(line)["id"].split("-")
        if task == "7":
            of_one_task.setdefault(name, []).append(int(number))
    assert of_one_task == {key: list(range(100)) for key in "abc"}, "the names sort as the segments were written"
