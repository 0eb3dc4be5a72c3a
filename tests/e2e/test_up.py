"""`mlops up` with a code location of its own: real webserver, daemon, code server, model server and MLflow.

Every process that a start brings forth inherits a mark in its environment, by which the tests find those that survive.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

import psutil
import pytest

from tests.waiting import until

LOCATION = """
import time
import dagster as dg

@dg.op
def wait():
    time.sleep(600)

@dg.job
def long():
    wait()

defs = dg.Definitions(jobs=[long])
"""
WORKSPACE = "load_from: [{python_file: {relative_path: location.py, location_name: tiny}}]"
RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "tiny") { __typename } }'
LAUNCH = """
mutation {
  launchRun(executionParams: {mode: "default", selector: {
    jobName: "long", repositoryName: "__repository__", repositoryLocationName: "tiny"
  }}) { __typename ... on LaunchRunSuccess { run { id } } }
}
"""


def free_ports() -> list[int]:
    """Return three ports below those that the system gives to connections: nobody takes them before they are listened on."""
    ports: set[int] = set()
    while len(ports) < 3:
        port = SystemRandom().randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return sorted(ports)


@dataclass
class Up:
    """One `mlops up` in the background, its interrupt ignored as a shell does for background jobs."""

    root: Path
    ports: list[int] = field(default_factory=free_ports)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def start(self) -> None:
        flags = zip(("--port", "--serve-port", "--mlflow-port"), map(str, self.ports), strict=True)
        command = [sys.executable, "-m", "mlops_assets.cli.app", "up", *(part for pair in flags for part in pair)]
        self.out = self.root / f"{self.mark}.txt"
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("MLOPS", "DAGSTER"))}
        with self.out.open("w") as out:
            self.process = subprocess.Popen(
                command,
                cwd=self.root,
                env=environ | {"MARK": self.mark, "COLUMNS": "300"},
                stdout=out,
                stderr=out,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509  (no threads here)
            )

    def start_and_wait(self) -> None:
        self.start()
        until(lambda: "Ctrl-C stops everything" in self.text() or self.process.poll() is not None, 200)
        assert self.process.poll() is None, self.text()

    def text(self) -> str:
        return self.out.read_text()

    def descendants(self) -> list[psutil.Process]:
        """Return every living process with our mark but the first."""
        return [
            process for process in psutil.process_iter() if process.pid != self.process.pid and self._is_ours(process)
        ]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("MARK") == self.mark
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def query(self, query: str) -> Any:
        body = json.dumps({"query": query}).encode()
        url = f"http://127.0.0.1:{self.ports[0]}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["data"]

    def launch(self) -> str:
        """Start a run that takes ten minutes; return its id once it has begun."""
        run_id = self.query(LAUNCH)["launchRun"]["run"]["id"]
        until(lambda: self.run_status(run_id) == "STARTED", 60)
        return run_id

    def run_status(self, run_id: str) -> str:
        return self.query(f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ status }} }} }}')["runOrError"]["status"]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    (tmp_path / "location.py").write_text(LOCATION)
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    up = Up(tmp_path)
    yield up
    up.process.kill()
    up.process.wait()
    for process in up.descendants():
        process.kill()


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_it_names_what_is_broken_closes_what_a_power_cut_left_and_an_interrupt_stops_it_in_the_middle_of_a_run(
    up: Up,
) -> None:
    (up.root / "location.py").write_text("import no_such_module")
    up.start_and_wait()
    expect_everything_to_answer(up)
    expect_a_twin_to_be_refused(up)
    until(lambda: "Code location tiny did not load" in up.text(), 60)
    assert "No module named 'no_such_module'" in up.text()
    (up.root / "location.py").write_text(LOCATION)
    up.query(RELOAD)

    run_id = up.launch()
    up.process.kill()
    up.process.wait()
    while alive := up.descendants():  # some are being started at this moment
        for process in alive:
            process.kill()
    up.start_and_wait()
    assert f"Run {run_id} was open but its process is gone: closed." in up.text()
    assert up.run_status(run_id) == "FAILURE"

    up.launch()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(10) == 0
    assert up.descendants() == []
    assert (up.root / ".mlops" / "dagster" / "dagster.yaml").exists()


def expect_everything_to_answer(up: Up) -> None:
    for url in re.findall(r"http://\S+", up.text()):
        with urllib.request.urlopen(url, timeout=10) as response:
            assert response.status == 200
    assert len(re.findall(r"http://\S+", up.text())) == 3
    assert len(up.descendants()) >= 8, "leashes, webserver, daemon, code server, model server and MLflow"


def expect_a_twin_to_be_refused(up: Up) -> None:
    twin = Up(up.root)
    twin.start()
    assert twin.process.wait(60) == 1
    assert f"another one running on {up.root / '.mlops'}" in twin.text()
    assert twin.descendants() == []


@pytest.mark.parametrize(("place", "flag"), [(0, "--port"), (1, "--serve-port"), (2, "--mlflow-port")])
def test_a_port_in_use_is_named_with_the_flag_that_changes_it(up: Up, place: int, flag: str) -> None:
    with socket.create_server(("127.0.0.1", up.ports[place])):
        up.start()
        assert up.process.wait(60) == 1

    assert f"listening on 127.0.0.1:{up.ports[place]}: found the port in use" in up.text()
    assert f"choose another port with `{flag}`" in up.text()
    assert "Traceback" not in up.text()
    assert up.descendants() == []
