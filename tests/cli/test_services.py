"""Services that run as one, small ones: one that ends stops the others, and none outlives a holder that was killed.

How they are started and stopped for a person is in `tests/e2e/test_up.py`, what a leash does in `tests/e2e/test_leash.py`.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.waiting import until

HOLD = """
import os, sys
from pathlib import Path
from mlops_assets.cli.services import Service, running, wait_until_ready, watch
from mlops_assets.errors import MlopsError
folder = Path(sys.argv[1])
def service(name):
    return Service(name, (sys.executable, "-c", sys.argv[2], name), 0, "--port", "", (folder / name).exists)
try:
    with running([service("one"), service("two")], logs=folder / "logs", folder=folder, env=dict(os.environ)) as started:
        wait_until_ready(started, timeout_s=60)
        (folder / "ready").touch()
        watch(started)
except MlopsError as error:
    sys.exit(str(error))
"""
SERVE = """
import os, subprocess, sys, time
from pathlib import Path
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("I serve", flush=True)
Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""


@dataclass
class Held:
    """Two services, and the process that holds them."""

    folder: Path
    holder: subprocess.Popen[str]
    descendants: list[psutil.Process]

    def service(self, name: str) -> psutil.Process:
        return psutil.Process(int((self.folder / name).read_text()))

    def alive(self) -> list[psutil.Process]:
        return [one for one in self.descendants if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), SERVE], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until((tmp_path / "ready").exists)
    held = Held(tmp_path, holder, psutil.Process(holder.pid).children(recursive=True))
    assert len(held.descendants) >= 2 * 3, "leashes, services and what they started"
    yield held
    for process in [holder, *held.alive()]:
        process.kill()
    holder.communicate()


def test_a_service_that_dies_is_named_with_its_last_words_and_stops_the_others(held: Held) -> None:
    held.service("two").kill()

    _, errors = held.holder.communicate(timeout=60)
    assert held.holder.returncode == 1
    assert "service two: found exit code 137, after these last lines:\nI serve" in errors
    assert f"The whole log is in {held.folder / 'logs' / 'two.log'}" in errors
    assert held.alive() == []


def test_nothing_survives_a_holder_that_was_killed(held: Held) -> None:
    held.holder.kill()
    held.holder.wait()

    until(lambda: held.alive() == [], 30)
