import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import IO, cast

import pytest
from predictions.log.served import NOON, answer, shadow, write_segment

from mlops_assets.predictions.log.tail import Tail


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "home/capture/dev"


def start(log: Path, *arguments: str) -> subprocess.Popen[str]:
    environ = {"MLOPS_HOME": str(log.parents[1]), "MLOPS_ENV": "dev", "MLOPS_LAKE": str(log.parents[1] / "lake")}
    command = [sys.executable, "-m", "mlops_assets.cli.app", "log", *arguments]
    return subprocess.Popen(
        command, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def shown(log: Path, *arguments: str) -> tuple[list[str], str, int]:
    process = start(log, *arguments)
    out, err = process.communicate(timeout=60)
    return out.splitlines(), err, process.returncode


def test_the_newest_lines_are_printed_newest_last_from_live_and_closed_segments(log):
    write_segment(log, [answer(number) for number in range(10)])
    odd = [
        answer(
            11,
            latency_us=12_340,
            version=7,
            generation=9,
            variant="challenger",
            assigned="challenger",
            predictions=[0.25] * 5,
        )
    ]
    odd.append(shadow(12, error="boom", predictions=[], status=500))
    odd.append(answer(10, status=200, assigned="challenger", error="boom"))
    web = {"class": "web", "probabilities": {"app": 0.1, "web": 0.9}}
    odd.append(answer(13, predictions=[web]))
    write_segment(log, odd, "00-w2-1.open", torn=b'{"capt')
    lines, _, code = shown(log, "returns", "--rows", "6")
    assert code == 0
    assert [line.split("  ", 1)[0][11:19] for line in lines[1:]] == [
        f"12:00:{second:02}" for second in (8, 9, 10, 11, 12, 13)
    ]
    assert [line.split(maxsplit=2)[2].split() for line in lines[1:]] == [
        ["champion", "1", "200", "0.0", "0.5"],
        ["champion", "1", "200", "0.0", "0.5"],
        ["champion", "1", "200", "0.0", "0.5", "(for", "the", "challenger)"],
        ["challenger", "7", "200", "12.3", "0.25,", "0.25,", "0.25,", "and", "2", "more"],
        ["shadow", "1", "500", "0.0", "boom"],
        ["champion", "1", "200", "0.0", "web", "0.90"],
    ]


def test_a_model_that_was_never_asked_here_is_named_with_those_that_were(log):
    write_segment(log, [answer(1)])
    lines, error, code = shown(log, "sales")
    assert (lines, code) == ([], 1)
    assert "sales: prediction log: found logs of returns in" in error


def test_following_prints_what_comes_until_interrupted(log):
    path = write_segment(log, [answer(1)], "00-w1-1.open")
    with start(log, "returns", "--follow") as process:
        try:
            out = cast(IO[str], process.stdout)
            assert "time" in out.readline()
            assert "12:00:01" in out.readline()
            with path.open("ab") as file:
                file.write(answer(2) + b"\n" + answer(3)[:20])
            assert "12:00:02" in out.readline()
            with path.open("ab") as file:
                file.write(answer(3)[20:] + b"\n")
            assert "12:00:03" in out.readline()
            path.rename(path.with_suffix(".jsonl"))
            write_segment(log, [answer(4)], "01-w1-2.open")
            assert "12:00:04" in out.readline()
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
            assert (process.returncode, error.strip()) == (130, "")
        finally:
            process.kill()


def test_of_a_long_log_only_the_newest_segments_are_read(log):
    for segment in range(5):
        at = [answer(number, at=NOON + timedelta(minutes=segment, seconds=number)) for number in range(10)]
        write_segment(log, at, f"0{segment}-w1-{segment}.jsonl")
    unreadable = write_segment(log, [b"not ours"] * 10, "00-w0-0.jsonl")
    tail = Tail(log / "returns")
    assert [entry.at[14:19] for entry in tail.newest(12)] == ["03:08", "03:09", *(f"04:0{i}" for i in range(10))]
    assert tail.unreadable == 0
    assert tail.later() == []
    with unreadable.open("ab") as file:
        file.write(b"nor this\n")
    assert (tail.later(), tail.unreadable) == ([], 1)
    with unreadable.open("ab") as file:
        file.write(b" " * 40 + b"\n")  # somebody was forgotten
    assert (tail.later(), tail.unreadable) == ([], 1)
