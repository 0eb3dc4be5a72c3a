"""Run one command such that nothing it ever started outlives whoever holds the leash.

The holder keeps the write end of this process's stdin. End of file there (the holder stopped, or was killed with -9),
SIGTERM, or the end of the command itself make it stop the command and every descendant, in whatever session.

On Linux a descendant that lost its parent becomes a child of this process (`PR_SET_CHILD_SUBREAPER`), so the list of
descendants is complete, and the command dies with this process even if that is killed (`PR_SET_PDEATHSIG`).
On other systems a descendant that had lost its parent before the stop is missed.

Keep out: anything slow to import; one of these runs beside each service.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import psutil

ASK_SECONDS = 4.0
TELL_SECONDS = 1.5
POLL_SECONDS = 0.25
IS_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def hold(command: Sequence[str]) -> int:
    """Run `command` until it ends or the leash is let go; return its exit code, or 0 if we ended it."""
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: signals.append(number))
    if IS_LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent if IS_LINUX else None,  # noqa: PLW1509  (this process has one thread)
    )
    while process.poll() is None and not signals and not _is_let_go():
        _reap_orphans(process.pid)
    code = process.returncode
    stop(process)
    return 0 if code is None else code if code >= 0 else 128 - code


def stop(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the command, then terminate and at last kill what is left of its descendants."""
    known = set(psutil.Process().children(recursive=True))
    with suppress(subprocess.TimeoutExpired):
        process.send_signal(signal.SIGINT)
        process.wait(ASK_SECONDS)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        known |= set(psutil.Process().children(recursive=True))
        for child in known:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)
        _, alive = psutil.wait_procs(known, timeout=TELL_SECONDS)
        known = set(alive)


def _is_let_go() -> bool:
    """Wait a moment for end of file on stdin."""
    ready, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
    return bool(ready) and not os.read(sys.stdin.fileno(), 64)


def _reap_orphans(command_pid: int) -> None:
    """Collect the exit codes of adopted descendants; the command's own stays for its `Popen`."""
    if not IS_LINUX:
        return
    while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid != command_pid:
        os.waitpid(ended.si_pid, 0)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(hold(sys.argv[1:]))
