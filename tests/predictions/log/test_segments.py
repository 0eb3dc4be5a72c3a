import fcntl
import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.predictions.log.segments import (
    all_segments,
    closed_segments,
    kind_folder,
    live_segments,
    log_folder,
    read_lines,
    recover,
    tidy,
)
from mlops_assets.predictions.log.writer import Segment, SegmentWriter, worker_name
from tests.waiting import until

NOON = datetime(2013, 5, 19, 12, 59, 59, 250_000, tzinfo=UTC)


def writer(
    folder: Path, *, max_bytes: int = 2**20, max_seconds: float = 3600, worker: str | None = None
) -> SegmentWriter:
    worker = worker or worker_name()
    return SegmentWriter(folder, worker, max_bytes=max_bytes, max_seconds=max_seconds, is_synced=False)


def close(writer: SegmentWriter) -> None:
    writer.retire()
    while writer.retired:
        writer.retired.pop(0).close()


def lines_of(path: Path) -> list[bytes]:
    return list(read_lines(path)[0])


def test_the_layout_is_that_of_sagemakers_capture_with_minute_second_and_millisecond_in_the_name(tmp_path):
    one = writer(kind_folder(log_folder(tmp_path, "dev"), "returns"))
    one.append(b"{}\n", NOON)
    close(one)
    (path,) = closed_segments(tmp_path)
    assert path.parent == tmp_path / "capture/dev/returns/AllTraffic/2013/05/19/12"
    host = "".join(sign if sign.isalnum() else "-" for sign in socket.gethostname())[:32]
    assert path.name.startswith(f"59-59-250-{host}-{os.getpid()}-")
    assert path.name.endswith("-000000.jsonl")
    assert kind_folder(tmp_path, "returns", "feedback") == tmp_path / "returns/feedback"


def test_an_open_segment_is_live_until_it_is_closed(tmp_path):
    one = writer(tmp_path)
    one.append(b'{"a":1}\n{"a":2}\n', NOON)
    assert closed_segments(tmp_path) == []
    (live,) = live_segments(tmp_path)
    assert lines_of(live) == [b'{"a":1}', b'{"a":2}']
    close(one)
    assert live_segments(tmp_path) == []
    assert lines_of(live) == [b'{"a":1}', b'{"a":2}'], "a segment that was closed since it was listed is still found"


def test_all_segments_names_each_once(tmp_path):
    first, second = writer(tmp_path), writer(tmp_path)
    first.append(b"1\n", NOON)
    close(first)
    second.append(b"2\n", NOON + timedelta(hours=1))
    assert [lines_of(path) for path in all_segments(tmp_path)] == [[b"1"], [b"2"]]


def test_a_segment_ends_with_its_hour_in_either_direction(tmp_path):
    one = writer(tmp_path)
    for step in (0, 1, 0):
        one.append(b"%d\n" % step, NOON + timedelta(hours=step))
    close(one)
    assert [(path.parent.name, lines_of(path)) for path in closed_segments(tmp_path)] == [
        ("12", [b"0"]),
        ("12", [b"0"]),
        ("13", [b"1"]),
    ]


@pytest.mark.parametrize("step", [timedelta(hours=24), timedelta(days=31), timedelta(days=-365)])
def test_the_same_hour_of_another_day_is_another_hour(tmp_path, step):
    one = writer(tmp_path)
    one.append(b"1\n", NOON)
    one.append(b"2\n", NOON + step)
    close(one)
    assert {path.parent for path in closed_segments(tmp_path)} == {
        tmp_path / f"{at:%Y/%m/%d/%H}" for at in (NOON, NOON + step)
    }


def test_a_segment_ends_at_its_size_and_the_next_write_begins_another(tmp_path):
    one = writer(tmp_path, max_bytes=10)
    for _ in range(6):
        one.append(b"12345\n", NOON)
    close(one)
    assert [len(lines_of(path)) for path in closed_segments(tmp_path)] == [2, 2, 2]


def test_a_segment_ends_at_its_age_whatever_the_clock_says(tmp_path):
    one = writer(tmp_path, max_seconds=0)
    one.append(b"1\n", NOON)
    one.append(b"2\n", NOON - timedelta(seconds=30))
    close(one)
    assert len(closed_segments(tmp_path)) == 2


def test_names_sort_as_the_segments_began(tmp_path):
    one = writer(tmp_path, max_bytes=1)
    for number in range(120):
        one.append(b"%d\n" % number, NOON.replace(minute=0) + timedelta(seconds=7 * (number // 2)))
    close(one)
    assert [lines_of(path)[0] for path in closed_segments(tmp_path)] == [b"%d" % number for number in range(120)]


def test_two_workers_with_one_pid_on_one_host_do_not_meet(tmp_path):
    both = [writer(tmp_path), writer(tmp_path)]
    for one in both:
        one.append(b"x\n", NOON)
    for one in both:
        close(one)
    assert len(closed_segments(tmp_path)) == 2


def test_even_equal_names_never_share_a_file(tmp_path):
    first, second = (writer(tmp_path, worker="same") for _ in range(2))
    first.append(b"1\n", NOON)
    with pytest.raises(FileExistsError):
        second.append(b"2\n", NOON)
    second.append(b"3\n", NOON)
    for one in (first, second):
        close(one)
    assert [lines_of(path) for path in closed_segments(tmp_path)] == [[b"1"], [b"3"]]


def test_the_writer_goes_on_in_a_new_file_when_its_folder_is_removed(tmp_path):
    one = writer(tmp_path / "log")
    one.append(b"1\n", NOON)
    (tmp_path / "log").rename(tmp_path / "elsewhere")
    one.append(b"2\n", NOON)
    (live,) = live_segments(tmp_path / "log")
    live.unlink()
    one.append(b"3\n", NOON)
    close(one)
    assert [lines_of(path) for path in all_segments(tmp_path)] == [[b"1"], [b"3"]]
    assert recover(tmp_path) != [], "the one that was moved away has no writer any more"


def test_a_segment_without_a_line_leaves_no_file(tmp_path):
    segment = Segment(tmp_path / "x.open")
    segment.close()
    assert all_segments(tmp_path) == []


def test_a_torn_last_line_is_counted_and_left_where_it_is(tmp_path):
    path = tmp_path / "x.jsonl"
    for whole, torn in [(b'{"a":1}\n{"b"', 1), (b'{"a":1}\n', 0), (b'{"a":', 1), (b"", 0)]:
        path.write_bytes(whole)
        lines, counted = read_lines(path)
        assert (list(lines), counted) == ([b'{"a":1}'] if b"\n" in whole else [], torn)
        assert path.read_bytes() == whole


def test_a_reader_does_not_take_the_rest_of_a_line_that_is_completed_meanwhile(tmp_path):
    path = tmp_path / "x.open"
    path.write_bytes(b"1\n2")
    lines, _ = read_lines(path)
    assert next(lines) == b"1"
    assert list(lines) == []
    with path.open("ab") as file:
        file.write(b"22\n3\n")
    assert list(lines) == []
    assert lines_of(path) == [b"1", b"222", b"3"]


def test_a_line_that_grows_while_it_is_read_is_whole_or_absent(tmp_path):
    path = tmp_path / "x.open"
    path.touch()
    code = f"""
import os, time
file = os.open({str(path)!r}, os.O_WRONLY | os.O_APPEND)
while os.getppid() == {os.getpid()}:
    for sign in b"12345\\n":
        os.write(file, bytes([sign]))
    if os.fstat(file).st_size > 6000:
        os.ftruncate(file, 0)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        try:
            until(lambda: path.stat().st_size > 0)  # the other process takes its time to start
            found = {line for _ in range(3000) for line in lines_of(path)}
        finally:
            other.kill()
    assert found == {b"12345"}


def test_reading_a_segment_that_is_gone_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_lines(tmp_path / "gone.open")


def test_recovering_closes_the_segments_of_the_dead_and_of_nobody_else(tmp_path):
    code = f"""
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from mlops_assets.predictions.log.writer import SegmentWriter, worker_name
one = SegmentWriter(Path({str(tmp_path)!r}), worker_name(), max_bytes=2**20, max_seconds=60, is_synced=False)
one.append(b"dead\\n", datetime(2013, 5, 19, 12, tzinfo=UTC))
os.write(one.segment._descriptor, b"torn")
print("ready", flush=True)
sys.stdin.read()
"""
    alive = writer(tmp_path)
    alive.append(b"alive\n", NOON)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        assert recover(tmp_path) == [], "both writers live"
        other.kill()
        other.wait()
        (closed,) = recover(tmp_path)
    assert closed.read_bytes() == b"dead\ntorn"
    lines, torn = read_lines(closed)
    assert (list(lines), torn) == ([b"dead"], 1)
    assert recover(tmp_path) == []
    alive.append(b"still\n", NOON)
    close(alive)
    assert lines_of(closed_segments(tmp_path)[-1]) == [b"alive", b"still"]


def test_a_segment_whose_name_is_taken_at_its_birth_is_not_written(tmp_path):
    """As by a recovery that saw the file before the lock was on it."""
    first = Segment(tmp_path / "x.open")
    assert first.is_in_place()
    (tmp_path / "x.open").rename(tmp_path / "x.jsonl")
    assert not first.is_in_place()
    first.abandon()


def test_recovery_and_rotation_at_once_lose_nothing(tmp_path):
    one, stop = writer(tmp_path, max_bytes=1), threading.Event()

    def recovering() -> None:  # an error in the thread fails the test
        while not stop.is_set():
            recover(tmp_path)

    thread = threading.Thread(target=recovering)
    thread.start()
    try:
        for number in range(400):
            one.append(b"%d\n" % number, NOON)
            while one.retired:
                one.retired.pop().close()
    finally:
        stop.set()
        thread.join()
    assert sorted(int(line) for path in all_segments(tmp_path) for line in lines_of(path)) == list(range(400))


def test_the_lock_is_held_while_the_segment_is_open(tmp_path):
    one = writer(tmp_path)
    one.append(b"1\n", NOON)
    (live,) = live_segments(tmp_path)
    with live.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    close(one)
    with closed_segments(tmp_path)[0].open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_folders_that_have_been_empty_for_an_hour_go_and_no_others(tmp_path):
    folders = [tmp_path / f"2024/03/{day}/12" for day in ("01", "02", "03")]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[1] / "00-w1-1.jsonl").touch()
    for folder in (folders[0], folders[1], folders[0].parent):
        os.utime(folder, (0, 0))

    tidy(tmp_path)
    assert [folder.exists() for folder in folders] == [False, True, True], "one is used, and one was just made"
    assert folders[0].parent.exists(), "it became empty now"
    os.utime(folders[0].parent, (0, 0))
    tidy(tmp_path)

    assert not folders[0].parent.exists()
    tidy(tmp_path / "none")


def test_tidying_at_once_with_writing_loses_nothing(tmp_path, monkeypatch):
    """However young a folder may be that it removes."""
    monkeypatch.setattr("mlops_assets.predictions.log.segments.EMPTY_SECONDS", -1)
    stop = threading.Event()

    def tidying() -> None:
        while not stop.is_set():
            tidy(tmp_path)

    thread = threading.Thread(target=tidying)
    thread.start()
    try:
        for number in range(300):
            one = writer(tmp_path)
            one.append(b"%d\n" % number, NOON + timedelta(hours=number))
            one.retire()
            one.retired.pop().close()
    finally:
        stop.set()
        thread.join()
    assert len(closed_segments(tmp_path)) == 300


def test_folders_that_are_missing_hold_no_segments(tmp_path):
    assert closed_segments(tmp_path / "none") == live_segments(tmp_path / "none") == recover(tmp_path / "none") == []
