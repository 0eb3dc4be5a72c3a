"""The ways in which Dagster itself starts this project, tried with real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mlops_assets.resources.instance import prepare_instance
from tests.conftest import ROOT

LOCATIONS = "{workspaceOrError {... on Workspace {locationEntries {name locationOrLoadError {__typename}}}}}"
OF_DAGSTER = "SupersessionWarning: Function `dev_command`"  # every `dagster dev` says so, whatever it loads


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["dagster", "dev", "-w", "workspace.yaml"], ["dg", "dev"]], ids=lambda command: command[0]
)
def test_dagster_loads_the_project_without_a_warning(command, tmp_path):
    port = _free_port()
    home = tmp_path / "dagster"
    prepare_instance(home)
    environ = os.environ | {"DAGSTER_HOME": str(home), "VIRTUAL_ENV": sys.prefix, "NO_COLOR": "1"}
    program = [str(Path(sys.executable).with_name(command[0])), *command[1:], "--port", str(port)]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            program, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        locations = _ask_when_ready(process, port, log)["workspaceOrError"]["locationEntries"]
    finally:
        _stop(process)
    said = log.read_text().splitlines()

    assert locations == [{"name": "mlops_assets", "locationOrLoadError": {"__typename": "RepositoryLocation"}}]
    assert [line for line in said if "warning" in line.lower() and OF_DAGSTER not in line] == []
    assert not any("usage statistics" in line for line in said)


def _ask_when_ready(process, port, log):
    end = time.monotonic() + 200
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        try:
            return _ask(port, LOCATIONS)
        except urllib.error.URLError:
            time.sleep(0.5)


def _ask(port, query):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": query}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def _stop(process):
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
