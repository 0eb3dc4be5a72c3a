"""kill -9 of a server under load: every row that a client was answered is in its log."""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mlops_assets.predictions.log.line import Line, Logged
from mlops_assets.predictions.log.segments import all_segments, live_segments, log_folder, read_lines, recover

CONNECTIONS = 8
BODY = json.dumps({"dataframe_records": [{"x": 1.0, "colour": "red", "half": 2.0, "word": "hey"}]})


class Client:
    """Connections that ask one request after the other and keep the event ids that they were answered."""

    def __init__(self, port: int) -> None:
        self.answered: list[str] = []
        self._port = port
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            while True:
                connection.request("POST", "/invocations", BODY, {"Content-Type": "application/json"})
                response = connection.getresponse()
                reply = json.loads(response.read())
                assert response.status == 200, reply
                self.answered.append(reply["event_id"])
        except (OSError, http.client.HTTPException, json.JSONDecodeError):  # the server is dead
            return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)


def start(folder: Path) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "mlops_assets.cli.app", "serve", "--port", "0"]
    environ = {"MLOPS_HOME": str(folder), "MLOPS_LAKE": str(folder / "lake"), "MLOPS_ENV": "dev"}
    process = subprocess.Popen(
        command, env=os.environ | environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().split(" on ")[1].split()[0]
    return process, int(url.rsplit(":", 1)[1])


def kill_under_load(folder: Path, seconds: float) -> list[str]:
    """Return the event ids that were answered before the kill."""
    process, port = start(folder)
    try:
        client = Client(port)
        end = time.monotonic() + 60
        while len(client.answered) < 10 * CONNECTIONS:
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(seconds)
    finally:
        process.kill()
        process.wait()
    client.join()
    return client.answered


def logged(folder: Path) -> tuple[list[str], int]:
    """Return the event ids in the log, and how many torn lines there are."""
    ids, torn = [], 0
    for path in all_segments(log_folder(folder, "dev") / "churn"):
        lines, counted = read_lines(path)
        torn += counted
        for line in lines:
            envelope = msgspec.json.decode(line, type=Line)
            facts = msgspec.json.decode(envelope.capture_data.endpoint_output.data, type=Logged)
            assert facts.event_id == envelope.event_metadata.event_id
            ids.append(facts.event_id)
    return ids, torn


@pytest.mark.slow
def test_every_answered_event_is_in_the_log(tmp_path: Path, deploy: Callable[..., int]) -> None:
    deploy(1)
    kills = int(os.environ.get("SERVER_KILLS", "3"))
    delays = np.random.default_rng(5).uniform(0, 0.5, kills)
    answered = [event for delay in delays for event in kill_under_load(tmp_path, delay)]
    log = log_folder(tmp_path, "dev")
    assert len(recover(log)) == len(live_segments(log)) + kills
    found, torn = logged(tmp_path)
    assert len(set(answered)) == len(answered) > kills * 10 * CONNECTIONS
    assert set(answered) <= set(found)
    assert len(found) == len(set(found))
    assert len(found) - len(answered) <= kills * CONNECTIONS, "each connection waits for one answer at most"
    assert torn <= kills
    print(f"{kills} kills, {len(answered)} answered, {len(found)} logged, {torn} torn")  # noqa: T201
