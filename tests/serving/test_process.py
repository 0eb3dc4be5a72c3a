"""The server as a process: `mlops serve`, real sockets, real signals."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.rollout.heartbeat import Applied, LoadFailed, live_servers, wait_for_generation

Deploy = Callable[..., int]


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    url: str

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def serve(folder: Path, *, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mlops_assets.cli.app", "serve", "--port", str(port)]
    environ = {"MLOPS_HOME": str(folder), "MLOPS_LAKE": str(folder / "lake"), "MLOPS_ENV": "dev"}
    return subprocess.Popen(
        command, env=os.environ | environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    process = serve(tmp_path, port=0)
    assert process.stdout is not None
    url = process.stdout.readline().split(" on ")[1].split()[0]
    server = Server(process, url)
    end = time.monotonic() + 30
    while not live_servers(tmp_path, env="dev") and time.monotonic() < end:
        time.sleep(0.05)
    yield server
    process.kill()
    process.wait()


def wait(home: Path, generation: int) -> object:
    return wait_for_generation(home, "churn", generation, env="dev", timeout_s=60)


def test_a_deployment_reaches_the_running_server(server: Server, tmp_path: Path, deploy: Deploy) -> None:
    assert server.get("/ping") == (503, {"models": {}})

    for version in (1, 2):
        generation = deploy(version)
        assert wait(tmp_path, generation) == Applied((server.url,))
        reply = server.post({"instances": [{"x": 0.5}]})
        assert reply.pop("event_id")
        assert reply == {
            "model": "churn",
            "version": version,
            "generation": generation,
            "variant": "champion",
            "predictions": [version + 0.5],
        }


@pytest.mark.parametrize(
    "spoil", [shutil.rmtree, lambda folder: (folder / "model.skops").write_bytes(b"junk")], ids=["missing", "corrupt"]
)
def test_a_broken_artefact_is_reported_everywhere_while_the_old_model_answers(
    server: Server, tmp_path: Path, deploy: Deploy, spoil: Callable[[Path], object]
) -> None:
    assert isinstance(wait(tmp_path, deploy(1)), Applied)

    outcome = wait(tmp_path, deploy(2, spoil=spoil))

    assert isinstance(outcome, LoadFailed)
    assert "CorruptArtifact" in outcome.error
    assert server.post({"instances": [{}]})["version"] == 1
    ping, models = server.get("/ping"), server.get("/models")
    assert ping[0] == 200
    for reported in (ping[1]["models"]["churn"], models[1]["churn"]):
        assert (reported["version"], reported["failed_generation"]) == (1, 2)
        assert "CorruptArtifact" in reported["load_error"]


def test_no_request_fails_or_mixes_versions_while_models_are_swapped(
    server: Server, tmp_path: Path, deploy: Deploy
) -> None:
    assert isinstance(wait(tmp_path, deploy(1)), Applied)
    stopping, answers, failures = threading.Event(), [], []

    def ask() -> None:
        while not stopping.is_set():
            try:
                answers.append(server.post({"instances": [{}]}))
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in (2, 3, 4):
        wait(tmp_path, deploy(version))
    stopping.set()
    for thread in threads:
        thread.join()

    assert failures == []
    assert {answer["version"] for answer in answers} == {1, 2, 3, 4}
    assert all(answer["predictions"] == [answer["version"]] for answer in answers)


def test_a_lake_that_is_not_there_is_named_once_and_what_was_served_goes_on(
    server: Server, tmp_path: Path, deploy: Deploy
) -> None:
    lake = tmp_path / "lake" / "dev"
    assert not lake.exists()
    assert isinstance(wait(tmp_path, deploy(1)), Applied)
    lake.rename(tmp_path / "away")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.url}/admin/reload", b"", timeout=10)
    assert (refused.value.code, json.load(refused.value)["found"]) == (503, f"no folder {lake}")

    assert server.post({"instances": [{"x": 0.5}]})["version"] == 1
    assert server.get("/ping")[0] == 200
    (tmp_path / "away").rename(lake)
    assert isinstance(wait(tmp_path, deploy(2)), Applied)
    assert server.post({"instances": [{"x": 0.5}]})["version"] == 2

    server.process.send_signal(signal.SIGTERM)
    assert server.process.stderr is not None
    said = server.process.stderr.read()
    times = said.count(f"follow failed; trying again: The lake: found no folder {lake}; required the lake of")
    assert 1 <= times <= 2, "at the start, not at each turn; and when it was away, if that was at a turn"
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_stop_takes_its_heartbeat_along(
    server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    server.process.send_signal(number)

    assert server.process.wait(60) in (0, -number)
    assert list((tmp_path / "servers" / "dev").iterdir()) == []
    assert server.process.stderr is not None
    assert "Traceback" not in server.process.stderr.read()


def test_a_killed_server_is_no_longer_waited_for(server: Server, tmp_path: Path) -> None:
    assert len(live_servers(tmp_path, env="dev")) == 1

    server.process.kill()
    server.process.wait()

    assert live_servers(tmp_path, env="dev") == []


def test_a_port_in_use_is_one_clear_line_and_exit_code_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = serve(tmp_path, port=port)
        _, stderr = process.communicate(timeout=60)

    assert process.returncode == 1
    assert f"listening on 127.0.0.1:{port}: found the port in use; required a free port" in stderr
    assert "`--port`" in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "servers").exists()
