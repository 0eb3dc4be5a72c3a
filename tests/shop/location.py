"""The shop as a code location of real processes: webserver, daemon, code server and run workers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from mlops_assets.cli.demo.replay import Replay
from mlops_assets.clock import SimulatedClock
from mlops_assets.definitions import build_definitions
from mlops_assets.resources.instance import TEMPLATE, open_instance
from mlops_assets.settings import load_settings
from shop.deployment import SHOP_DEFS, Shop
from shop.kept import make_home
from shop.world import FIRST_WEEK, Week, write_orders
from tests.waiting import until

ROOT = Path(__file__).parents[2]
DEFINITIONS = """
from pathlib import Path
import dagster as dg
from mlops_assets.definitions import build_definitions, _component_docs

@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions.merge(build_definitions(Path({defs!r}), strict=True), _component_docs())
"""
WORKSPACE = "load_from: [{python_file: {relative_path: location.py, location_name: shop}}]"
LOADED = (
    "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus locationOrLoadError { __typename } } } } }"
)
RELOAD = 'mutation { reloadRepositoryLocation(repositoryLocationName: "shop") { __typename } }'
PID = "pid"
HASTE = {  # what a person need not notice at once, a test waits for
    "dequeue_interval_seconds: 2": "dequeue_interval_seconds: 1",
    "user_code_failure_retry_delay: 10": "user_code_failure_retry_delay: 2",
    "poll_interval_seconds: 15": "poll_interval_seconds: 2",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@dataclass
class Location:
    """One `dagster dev` over the shop's definitions, as `mlops up` starts it.

    Every process that it brings forth inherits a mark in its environment, by which those that survive are found.
    """

    shop: Shop
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    port: int = field(default_factory=free_port)

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.shop.replay.instance

    @property
    def folder(self) -> Path:
        return self.shop.home.parent

    @property
    def log(self) -> Path:
        return self.folder / "dagster.log"

    def start(self) -> None:
        (self.folder / "location.py").write_text(DEFINITIONS.format(defs=str(self.shop.defs)))
        (self.folder / "workspace.yaml").write_text(WORKSPACE)
        workspace = str(self.folder / "workspace.yaml")
        command = ["dagster", "dev", "-w", workspace, "-h", "127.0.0.1", "-p", str(self.port)]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "MARK": self.mark},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._is_loaded, 120, why=self.log.read_text)

    def kill(self) -> None:
        """End every process of ours at once, as a power cut does."""
        while alive := self.processes():  # some may be starting at this moment
            for process in alive:
                process.kill()
            psutil.wait_procs(alive, timeout=5)
        self.process.wait()

    def processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def query(self, query: str) -> Any:
        body = json.dumps({"query": query}).encode()
        url = f"http://127.0.0.1:{self.port}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)["data"]

    def reload(self) -> None:
        """Start the code server again, as the button in the UI does."""
        self.query(RELOAD)
        until(self._is_loaded, why=self.log.read_text)

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """Return the runs of a job that the sensor started, oldest first."""
        runs = self.instance.get_runs(dg.RunsFilter(job_name=job, tags={"dagster/sensor_name": "retraining"}))
        return list(reversed(runs))

    def run(self, run_id: str) -> dg.DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def worker(self, run_id: str) -> psutil.Process:
        """Return the process that executes a run."""
        for entry in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            pid = entry.get_dagster_event().engine_event_data.metadata.get(PID)
            if pid is not None:
                process = psutil.Process(int(str(pid.value)))
                assert self._is_ours(process)
                return process
        raise AssertionError(f"run {run_id} has no process")

    def _is_loaded(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            entries = self.query(LOADED)["workspaceOrError"]["locationEntries"]
        except OSError:
            return False
        loaded = [entry["locationOrLoadError"] for entry in entries if entry["loadStatus"] == "LOADED"]
        return [one["__typename"] for one in loaded if one] == ["RepositoryLocation"]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("MARK") == self.mark
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def kill(*processes: psutil.Process) -> None:
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(list(processes), timeout=5)


def make_location(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Location]:
    """Yield a shop on a persistent instance like ours, only in more haste; its processes are not started yet."""
    home, defs, orders = make_home(folder), folder / "defs", folder / "orders.parquet"
    shutil.copytree(SHOP_DEFS, defs)
    write_orders(orders, [Week()] * 25)
    places = {"MLOPS_HOME": home, "DAGSTER_HOME": home / "dagster", "MLFLOW_TRACKING_URI": "", "SHOP_ORDERS": orders}
    for name, value in {**places, "SHOP_TRAINING_WAITS": folder / "training_waits"}.items():
        patch.setenv(name, str(value))
    write_instance(home / "dagster")
    with open_instance(load_settings()) as instance:
        clock = SimulatedClock(home / "clock")
        clock.set(FIRST_WEEK)
        location = Location(Shop(home, defs, Replay(build_definitions(defs, strict=True), instance, clock)))
        yield location
        if hasattr(location, "process"):
            location.kill()


def write_instance(dagster_home: Path) -> None:
    text = TEMPLATE.read_text()
    for ours, hasty in HASTE.items():
        assert ours in text
        text = text.replace(ours, hasty)
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text(text)
