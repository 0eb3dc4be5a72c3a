"""Retention: what a version needs stays, what somebody works on stays, the rest goes by age."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card, decide
from mlops_assets.registry.retention import Policy, drop, expired
from mlops_assets.settings import load_settings
from mlops_assets.training.tracking import Tracking, open_tracking

NOW = datetime.now(UTC)
OLD, DAY = NOW - timedelta(days=100), timedelta(days=1)
POLICY = Policy(30 * DAY, keep_last=1)


@dataclass
class World:
    lake: str
    tracking: Tracking

    @property
    def state(self):
        return open_state(self.lake)

    def candidate(self, name, *, at=OLD, status=None, child=False, ended=True):
        """Log a run with a saved model, a verdict and a training set; register it with a status."""
        number = len(list(Path(self.lake, "training_sets").glob("*/*"))) + 1
        sha = f"{number:064x}"[::-1]
        folder = Path(self.lake, "training_sets", "shop", sha[:16])
        folder.mkdir(parents=True)
        for file in ("data.parquet", "manifest.json"):
            (folder / file).write_bytes(b"x" * 10)
            os.utime(folder / file, (at.timestamp(), at.timestamp()))
        with self.tracking.run("shop", tags={"name": name, "mlops/training_set": sha}) as run:
            for file in ("candidate/model.skops", "refit/model.skops", "verdict.json"):
                run.log_bytes(file, b"y" * 100)
            if child:
                with run.child("trial", tags={}) as trial:
                    trial.log_bytes("curve.json", b"z")
                self.date(trial.run_id, at)
        if ended:
            self.date(run.run_id, at)
        else:
            run.client.update_run(run.run_id, status="RUNNING")
        if status is not None:
            lineage = {"mlops/training_set": sha}
            card = VersionCard(
                "shop", number, run.run_id, run.run_id, run.artifact_uri("refit"), "s", at, lineage=lineage
            )
            add_card(self.state, card)
        if status in ("approved", "rejected"):
            decide(self.state, "shop", number, Decision(status, "me", at, "because"))
        return run.run_id, folder

    def date(self, run_id, at):
        self.tracking.client().set_terminated(run_id, "FINISHED", int(at.timestamp() * 1000))

    def expired(self, policy=POLICY, now=NOW):
        return list(expired(self.lake, self.state, self.tracking, policy, now=now))

    def apply(self):
        return [(one.kind, one.name, drop(one, self.tracking)) for one in self.expired()]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def world(tmp_path, database):
    return World(str(tmp_path / "lake"), Tracking(f"sqlite:///{database}/m.db", tmp_path.name, f"{tmp_path}/artifacts"))


def files(world, run_id):
    root = Path(world.tracking.open_run(run_id).root)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_by_status(world):
    approved, pending = world.candidate("a", status="approved"), world.candidate("p", status="pending")
    lone, rejected = world.candidate("l", child=True), world.candidate("r", status="rejected")
    running, young = world.candidate("w", ended=False), world.candidate("y", at=NOW - DAY)

    kinds = [(one.kind, one.name) for one in world.expired()]
    assert sorted(kind for kind, _ in kinds) == [
        "files of a rejected version",
        "run",
        "run",
        "training set",
        "training set",
    ]
    world.apply()

    for run_id, folder in (approved, pending, running, young):
        assert files(world, run_id) == ["candidate/model.skops", "refit/model.skops", "verdict.json"]
        assert sorted(path.name for path in folder.iterdir()) == ["data.parquet", "manifest.json"]
    assert files(world, rejected[0]) == ["verdict.json"]
    client = world.tracking.client()
    assert client.get_run(rejected[0]).info.lifecycle_stage == "active"
    assert client.get_run(lone[0]).info.lifecycle_stage == "deleted"
    assert not rejected[1].exists() and not lone[1].exists()  # noqa: PT018
    assert not Path(client.get_run(lone[0]).info.artifact_uri).exists()
    assert world.expired() == []


def test_the_newest_stay_however_old(world):
    for day in range(4):
        world.candidate(str(day), at=OLD + day * DAY)
    assert len([one for one in world.expired(Policy(30 * DAY, 3)) if one.kind == "run"]) == 1
    assert {one.kind for one in world.expired(Policy(30 * DAY, 4))} == set()


def test_a_set_that_somebody_wants_between_search_and_removal_stays(world):
    world.candidate("old"), world.candidate("new", at=NOW)
    found = world.expired()
    (sets,) = [one for one in found if one.kind == "training set"]
    os.utime(sets.files[0])
    assert not drop(sets, world.tracking)
    assert all(Path(file).exists() for file in sets.files)


def test_a_version_that_does_not_name_its_set_keeps_all_sets(world):
    world.candidate("old"), world.candidate("new", at=NOW)
    add_card(world.state, VersionCard("shop", 9, "x", "x", "/x", "s", OLD))
    assert "training set" not in {one.kind for one in world.expired()}


KILLED = """
import os, sys
from datetime import timedelta
from mlops_assets.lake.state import open_state
from mlops_assets.registry import retention
from mlops_assets.training.tracking import Tracking
from datetime import UTC, datetime
remove, count = retention.remove, 0
def dying(file):
    global count
    count += 1
    if count == int(sys.argv[5]):
        os.kill(os.getpid(), 9)
    remove(file)
retention.remove = dying
lake, tracking = sys.argv[1], Tracking(*sys.argv[2:5])
policy = retention.Policy(timedelta(days=30), 1)
for one in list(retention.expired(lake, open_state(lake), tracking, policy, now=datetime.now(UTC))):
    retention.drop(one, tracking)
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 5])
def test_killed_in_between_the_next_one_finishes_and_no_version_lacks_anything(world, step):
    approved, lone = world.candidate("a", status="approved"), world.candidate("l")
    world.candidate("y", at=NOW)
    tracking = world.tracking
    places = [world.lake, tracking.tracking_uri, tracking.env, tracking.artifact_root, str(step)]
    assert subprocess.run([sys.executable, "-c", KILLED, *places], check=False).returncode == -signal.SIGKILL
    world.apply()
    assert not lone[1].exists()
    assert not Path(tracking.client().get_run(lone[0]).info.artifact_uri).exists()
    assert len(files(world, approved[0])) == 3
    assert len(list(approved[1].iterdir())) == 2


def test_the_command_lists_sizes_and_a_dry_run_removes_nothing(tmp_path, database, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}/m.db")
    monkeypatch.setenv("MLOPS_ENV", "listed")
    monkeypatch.setenv("COLUMNS", "200")
    world = World(load_settings().lake, open_tracking(load_settings()))
    world.candidate("old"), world.candidate("new", at=NOW)
    said = CliRunner().invoke(app, ["retention", "--dry-run", "--keep-days", "30", "--keep-last", "1"])
    assert said.exit_code == 0
    assert "what would be removed" in said.output
    assert "320 bytes in all" in said.output
    assert len(world.expired()) == 2
    done = CliRunner().invoke(app, ["retention", "--keep-days", "30", "--keep-last", "1"])
    assert "what was removed" in done.output
    assert world.expired() == []
