"""`mlops up`: everything that this machine runs, as one command that Ctrl-C really stops."""

import fcntl
import json
import os
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
from mlops_assets.cli.services import Running, Service, interruptible, running, wait_until_ready, watch
from mlops_assets.clock import CLOCK_FILE, SimulatedClock
from mlops_assets.errors import MlopsError
from mlops_assets.settings import Settings, load_settings, silence_telemetry

HOST = "127.0.0.1"
READY_SECONDS = 240.0
DRAIN_SECONDS = 1.0
DAEMON_HEALTH = "{ instance { daemonHealth { allDaemonStatuses { required healthy } } } }"
LOAD_ERRORS = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { ... on PythonError { message } } } } } }
"""
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # worker processes for evaluations hosted by MLflow


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
    with interruptible(), _alone(settings.home):
        try:
            for service in services:
                listen(HOST, service.port, flag=service.flag).close()
            _close_lost_runs(settings, console)
            _create_mlflow_database(settings)
            places = {"DAGSTER_HOME": str(settings.dagster_home), "MLOPS_DAGSTER_URL": f"http://127.0.0.1:{port}"}
            env = {**os.environ, **places, **WITHOUT_JOBS}
            with running(services, logs=settings.home / "logs", folder=settings.root, env=env) as started:
                with console.status("Starting (the first time takes a minute) …"):
                    wait_until_ready(started, timeout_s=READY_SECONDS)
                _show(console, settings, started)
                close_abandoned_runs(settings, console)
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
    return Service("dagster", command, port, "--port", f"http://{HOST}:{port}", lambda: _daemon_is_healthy(port))


def _server(port: int) -> Service:
    """Return the model server: on this machine alone, and gone before the leash loses patience."""
    options = ("--host", HOST, "--port", str(port), "--drain-seconds", str(DRAIN_SECONDS))
    command = (sys.executable, "-m", "mlops_assets.cli.app", "serve", *options)
    url = f"http://{HOST}:{port}"
    return Service("server", command, port, "--serve-port", f"{url}/", lambda: answers(f"{url}/ping"))


def _mlflow(settings: Settings, port: int) -> list[Service]:
    """Return the MLflow UI, unless MLflow is a server elsewhere."""
    if settings.mlflow_uri.startswith("http"):
        return []
    places = ("--backend-store-uri", settings.mlflow_uri, "--default-artifact-root", f"{settings.home}/mlartifacts")
    command = (sys.executable, "-m", "mlflow", "server", *places, "--host", HOST, "--port", str(port), "--workers", "1")
    url = f"http://{HOST}:{port}"
    return [Service("mlflow", command, port, "--mlflow-port", url, lambda: answers(f"{url}/health"))]


def _close_lost_runs(settings: Settings, console: Console) -> None:
    from mlops_assets.automation.reconcile import reconcile
    from mlops_assets.resources.instance import open_instance

    with open_instance(settings) as instance:
        for run_id in reconcile(instance):
            console.print(f"Run {run_id} was open but its process is gone: closed.")


def _create_mlflow_database(settings: Settings) -> None:
    """Create the database under our lock: the MLflow server and a first training run would both try, and one fail."""
    from mlops_assets.training.mlflow_client import SQLITE, create_database

    if not (settings.mlflow_uri.startswith(SQLITE) and Path(settings.mlflow_uri.removeprefix(SQLITE)).exists()):
        create_database(settings.mlflow_uri)


def close_abandoned_runs(settings: Settings, console: Console) -> None:
    """Close what trainings that were killed left open in MLflow; a server that is down keeps nothing else from running."""
    from mlops_assets.resources.instance import open_instance
    from mlops_assets.resources.places import MlflowResource

    mlflow = MlflowResource(tracking_uri=settings.mlflow_uri, env=settings.env, artifact_root="")
    try:
        with open_instance(settings) as instance:
            for run_id in mlflow.close_abandoned(instance):
                console.print(f"MLflow run {run_id} was open but its process is gone: closed.")
    except MlopsError as error:
        console.print(str(error), style="red", markup=False)


def _show(console: Console, settings: Settings, started: list[Running]) -> None:
    """Print where everything is, and which code location did not load."""
    table = Table("service", "where", "log", title=f"mlops {settings.env}: Ctrl-C stops everything")
    for one in started:
        table.add_row(one.service.name, one.service.url, str(one.log))
    console.print(table)
    simulated = SimulatedClock(settings.home / CLOCK_FILE)
    if simulated.path.exists():
        console.print(
            f"It is {simulated.now():%Y-%m-%d} here, as a replay left it. Remove {simulated.path} to return to the wall clock."
        )
    for entry in _query(started[0].service.port, LOAD_ERRORS)["workspaceOrError"]["locationEntries"]:
        if message := (entry["locationOrLoadError"] or {}).get("message"):
            console.print(f"Code location {entry['name']} did not load: {message}", style="red", markup=False)


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


def answers(url: str) -> bool:
    """Return whether anything answers; a model server without models says 503, and that is an answer."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  (our own http URL)
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


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
