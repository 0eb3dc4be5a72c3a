"""Nothing outlives the leash, whatever way it is let go: real processes, real signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.waiting import until

# A stubborn service: ignores polite signals, and has a grandchild in a session of its own whose parent is gone.
STUBBORN = """
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
orphan = subprocess.run([sys.executable, "-c", '''
import subprocess, sys
child = subprocess.Popen(["sleep", "600"], stdout=-3, stderr=-3, start_new_session=True)
print(child.pid)
'''], capture_output=True, text=True).stdout.strip()
open(sys.argv[1], "w").write(f"{os.getpid()} {orphan}\\n")
time.sleep(600)
"""


def start(tmp_path: Path) -> tuple[subprocess.Popen[bytes], list[int]]:
    pids = tmp_path / "pids"
    leash = subprocess.Popen(
        [sys.executable, "-m", "mlops_assets.cli.leash", sys.executable, "-c", STUBBORN, str(pids)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    return leash, [int(pid) for pid in pids.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def close_stdin(leash: subprocess.Popen[bytes]) -> None:
    assert leash.stdin is not None
    leash.stdin.close()


@pytest.mark.parametrize(
    "let_go", [close_stdin, lambda leash: leash.send_signal(signal.SIGTERM)], ids=["holder gone", "SIGTERM"]
)
def test_letting_go_ends_a_stubborn_command_and_its_orphaned_grandchild(
    tmp_path: Path, let_go: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    leash, pids = start(tmp_path)
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)

    let_go(leash)

    assert leash.wait(60) == 0
    assert not [pid for pid in pids if alive(pid)]


def test_the_command_dying_ends_its_orphans_and_hands_on_its_exit_code(tmp_path: Path) -> None:
    leash, (command, orphan) = start(tmp_path)

    os.kill(command, signal.SIGKILL)

    assert leash.wait(60) == 128 + signal.SIGKILL
    assert not alive(orphan)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG exists on Linux only")
def test_the_command_dies_with_a_killed_leash(tmp_path: Path) -> None:
    leash, (command, orphan) = start(tmp_path)

    leash.kill()
    leash.wait(60)

    until(lambda: not alive(command))
    os.kill(orphan, signal.SIGKILL)  # nobody is left to end this one; `mlops up` would notice the leash and stop


def test_orphans_that_end_do_not_stay_as_zombies(tmp_path: Path) -> None:
    leash, (_, orphan) = start(tmp_path)

    os.kill(orphan, signal.SIGKILL)

    until(lambda: not psutil.pid_exists(orphan))
    close_stdin(leash)
    leash.wait(60)
