"""A tracking server that is away for a while, and one that stays away: a real `mlflow server` is stopped and started."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mlops_assets.training.mlflow_client import create_database, open_client
from mlops_assets.training.owner import close_abandoned
from mlops_assets.training.patience import TrackingUnavailable, without_secrets
from mlops_assets.training.tracking import Tracking

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]  # a server starts four times


class Server:
    """An MLflow server on a port of its own, which it keeps when it starts again."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.url, self.database = f"http://127.0.0.1:{self.port}", f"sqlite:///{folder}/mlflow.db"
        create_database(self.database)

    def start(self) -> None:
        store = ("--backend-store-uri", self.database, "--workers", "1", "--port", str(self.port))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *store],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait(self) -> None:
        while self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the server ended")

    def stop(self) -> None:
        os.killpg(self.process.pid, 9)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    server.wait()
    yield server
    server.stop()


def test_a_run_outlives_a_server_that_is_away_for_a_while_and_fails_clearly_if_it_stays_away(server, tmp_path):
    tracking = Tracking(server.url, "dev", str(tmp_path), patience_s=200)
    with tracking.run("delay", tags={}) as run:
        run.log_metrics({"before": 1.0})
        server.stop()
        server.start()  # takes seconds to answer: nobody waits for it but the run
        run.log_metrics({"while": 2.0})
        run.log_bytes("note.txt", b"noted")
    found = tracking.client().get_run(run.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"before": 1.0, "while": 2.0})
    assert tracking.open_run(run.run_id).read_bytes("note.txt") == b"noted"

    hasty, opened = Tracking(server.url, "dev", str(tmp_path), patience_s=2), []

    def lose_the_server():
        with hasty.run("delay", tags={}) as run:
            opened.append(run.run_id)
            server.stop()
            run.log_metrics({"lost": 1.0})

    with pytest.raises(
        TrackingUnavailable, match=r"MLflow at http://127.*no answer for 2 s \(ConnectionRefused"
    ) as lost:
        lose_the_server()
    assert not hasattr(lost.value, "__notes__"), "closing must not wait as long again"
    with pytest.raises(TrackingUnavailable), hasty.run("delay", tags={}):
        raise AssertionError("no run without a server")

    server.start()
    server.wait()
    assert close_abandoned(tracking, has_ended=lambda _: False) == ()  # its process is ours and lives
    client = tracking.client()
    client.set_tag(opened[0], "mlops/process_started", "1000.0")
    assert close_abandoned(tracking, has_ended=lambda _: False) == (opened[0],)


def test_the_error_of_the_body_is_not_hidden_by_one_of_closing(server, tmp_path):
    def fail():
        with Tracking(server.url, "dev", str(tmp_path), patience_s=0.5).run("delay", tags={}):
            server.stop()
            raise ZeroDivisionError("ours")

    try:
        with pytest.raises(ZeroDivisionError, match="ours") as raised:
            fail()
    finally:
        server.start()
        server.wait()
    (note,) = raised.value.__notes__
    assert "stays open: MLflow at http://127.0.0.1" in note


def test_a_refusal_is_no_silence(server):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="not found"):  # asked again, it would be `TrackingUnavailable`
        open_client(server.url).get_run("0" * 32)


def test_a_database_that_is_down_is_told_without_its_password():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    uri = f"postgresql+psycopg://me:s3cret@127.0.0.1:{port}/mlflow?password=s3cret"
    with pytest.raises(TrackingUnavailable, match=f"MLflow at postgresql.*://127.0.0.1:{port}/mlflow") as raised:
        open_client(uri, patience_s=0.5)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
        ("https://me:pass@mlflow.example.com/x", "https://mlflow.example.com/x"),
    ],
)
def test_what_is_shown_of_a_uri(uri, shown):
    assert without_secrets(uri) == shown
