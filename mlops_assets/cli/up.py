"""`mlops up`: everything that this machine runs, as one command that Ctrl-C really stops."""

import fcntl
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mlops_assets.cli.ports import listen
from mlops_assets.cli.services import STOP_SIGNALS, Running, Service, running, wait_until_ready, watch
from mlops_assets.errors import MlopsError
from mlops_assets.settings import Settings, load_settings, silence_telemetry

HOST = "127.0.0.1"
READY_SECONDS = 240.0
DAEMON_HEALTH = "{ instance { daemonHealth { allDaemonStatuses { required healthy } } } }"
PROBLEMS = "{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { ... on PythonError { message } } } } } }"


class AlreadyUp(MlopsError):
    """Another `mlops up` holds the same home; two daemons on one instance would run everything twice."""

    def __init__(self, home: Path) -> None:
        super().__init__(
            "mlops up",
            found=f"another one running on {home}",
            required="one for each MLOPS_HOME",
            remedy="Stop it, or set MLOPS_HOME to another folder.",
        )


def up(*, port: int = 3000, serve_port: int = 8080, mlflow_port: int = 5000) -> int:
    """Start the Dagster UI with its daemon, the model server and the MLflow UI; return 0 after Ctrl-C.

    Raises:
        CannotListen: A port is in use.
        AlreadyUp: It runs already on this home.
        ServiceStopped: A service ended by itself; all others were stopped.
        ServiceNotReady: A service does not answer; all were stopped.
    """
    silence_telemetry()
    settings, console = load_settings(), Console()
    services = [_dagster(settings, port), _server(serve_port), *_mlflow(settings, mlflow_port)]
    with _interruptible(), _alone(settings.home):
        try:
            for flag, taken in (("--port", port), ("--serve-port", serve_port), ("--mlflow-port", mlflow_port)):
                listen(HOST, taken, flag=flag).close()
            _prepare(settings, console)
            with running(services, logs=settings.home / "logs", folder=settings.root, env=os.environ) as started:
                with console.status("Starting (the first time takes a minute) …"):
                    wait_until_ready(started, timeout_s=READY_SECONDS)
                _tell(console, settings, started, port=port, serve_port=serve_port, mlflow_port=mlflow_port)
                watch(started)
        except KeyboardInterrupt:
            console.print("Stopped.")
    return 0


def _dagster(settings: Settings, port: int) -> Service:
    """Return UI, daemon and one code server for both.

    `dagster dev` rather than the webserver and the daemon by themselves: they would load the definitions twice, and the
    daemon would not see what a reload in the UI brought.
    """
    workspace = str(settings.root / "workspace.yaml")
    command = (sys.executable, "-m", "dagster", "dev", "-w", workspace, "-h", HOST, "-p", str(port))
    return Service("dagster", command, lambda: _daemon_is_healthy(port))


def _server(port: int) -> Service:
    command = (sys.executable, "-m", "mlops_assets.cli.app", "serve", "--host", HOST, "--port", str(port))
    return Service("server", command, lambda: _answers(f"http://{HOST}:{port}/ping"))


def _mlflow(settings: Settings, port: int) -> list[Service]:
    """Return the MLflow UI, unless MLflow is a server elsewhere."""
    if settings.mlflow_uri.startswith("http"):
        return []
    places = ("--backend-store-uri", settings.mlflow_uri, "--default-artifact-root", f"{settings.home}/mlartifacts")
    command = (sys.executable, "-m", "mlflow", "server", *places, "--host", HOST, "--port", str(port), "--workers", "1")
    return [Service("mlflow", command, lambda: _answers(f"http://{HOST}:{port}/health"))]


def _prepare(settings: Settings, console: Console) -> None:
    """Make the Dagster home, and close the runs that a killed `mlops up` left open."""
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # workers for hosted evaluations, which nobody here asks
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    configured, ours = settings.dagster_home / "dagster.yaml", settings.root / "dagster.yaml"
    if ours.exists() and not configured.exists():
        configured.symlink_to(ours)

    from dagster import DagsterInstance

    from mlops_assets.automation.reconcile import reconcile

    with DagsterInstance.get() as instance:
        for run_id in reconcile(instance):
            console.print(f"Run {run_id} was open but its process is gone: closed.")


def _tell(
    console: Console, settings: Settings, started: list[Running], *, port: int, serve_port: int, mlflow_port: int
) -> None:
    table = Table("service", "where", "log", title=f"mlops {settings.env}: Ctrl-C stops everything")
    urls = {"dagster": f"http://{HOST}:{port}", "server": f"http://{HOST}:{serve_port}/docs"}
    urls["mlflow"] = f"http://{HOST}:{mlflow_port}"
    for one in started:
        table.add_row(one.service.name, urls[one.service.name], str(one.log))
    if settings.mlflow_uri.startswith("http"):
        table.add_row("mlflow", settings.mlflow_uri, "(runs elsewhere)")
    console.print(table)
    for entry in _query(port, PROBLEMS)["workspaceOrError"]["locationEntries"]:
        if message := (entry["locationOrLoadError"] or {}).get("message"):
            console.print(f"Code location {entry['name']} did not load: {message}", style="red")


def _daemon_is_healthy(port: int) -> bool:
    try:
        statuses = _query(port, DAEMON_HEALTH)["instance"]["daemonHealth"]["allDaemonStatuses"]
    except OSError:
        return False
    return all(status["healthy"] for status in statuses if status["required"])


def _query(port: int, query: str) -> dict[str, Any]:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"http://{HOST}:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  (our own http URL)
        return json.load(response)["data"]


def _answers(url: str) -> bool:
    """Return whether anything answers; a model server without models says 503, and that is an answer."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  (our own http URL)
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def _interruptible() -> Generator[None, None, None]:
    """Turn SIGINT (also where a shell made us ignore it, as in a background job), SIGTERM and SIGHUP into Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _alone(home: Path) -> Generator[None, None, None]:
    """Hold the home's lock; the kernel releases it whatever way this process ends."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyUp(home) from error
        yield
