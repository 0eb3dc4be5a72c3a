"""`mlops rebuild` from the outside: a process of its own, and the recorded commit in a checkout of its own."""

import json
import shutil
import subprocess
from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import SHOP_DEFS, Shop
from shop.world import FIRST_WEEK, Week, write_orders
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.cli.checkout import NoCheckout
from mlops_assets.cli.demo.replay import Replay
from mlops_assets.clock import SimulatedClock
from mlops_assets.definitions import build_definitions
from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import known_card
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.settings import load_settings

ROOT = Path(__file__).parents[2]
SEEDED = '"random_state": recipe.seed'


def git(project, *arguments):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", "-C", str(project), *who, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository with the package and the shop's files, in which one version was trained."""
    project = tmp_path_factory.mktemp("project")
    skip = shutil.ignore_patterns("__pycache__", "defs")
    shutil.copytree(ROOT / "mlops_assets", project / "mlops_assets", ignore=skip)
    shutil.copytree(SHOP_DEFS, project / "mlops_assets" / "defs")
    for name in ("uv.lock", "workspace.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, project)
    (project / ".gitignore").write_text("__pycache__\n.mlops\n*.parquet\n")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "as it was trained")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.chdir(project)
        home = project / ".mlops"
        home.mkdir()
        write_orders(project / "orders.parquet", [Week()] * 14)
        places = {"MLOPS_HOME": home, "DAGSTER_HOME": home / "dagster", "SHOP_ORDERS": project / "orders.parquet"}
        for name, value in {**places, "MLFLOW_TRACKING_URI": "", "PYTHONPATH": ROOT / "tests"}.items():
            patch.setenv(name, str(value))
        clock = SimulatedClock(home / "clock")
        clock.set(FIRST_WEEK)
        defs = project / "mlops_assets" / "defs"
        shop = Shop(home, defs, Replay(build_definitions(defs, strict=True), instance, clock))
        shop.prepare()
        shop.replay.run("returns_retrain")
        yield project


def rebuild(*arguments):
    return CliRunner().invoke(app, ["rebuild", "returns@1", *arguments], catch_exceptions=False)


@pytest.mark.slow
def test_a_version_is_made_again_by_a_process_of_its_own_and_the_version_says_so(project):
    said = rebuild()
    assert said.exit_code == 0, said.output
    assert "returns@1: identical, bit for bit" in said.output
    settings = load_settings()
    card = known_card(open_state(settings.lake), "returns", 1)
    assert "identical, bit for bit" in card.marks["rebuilt"]
    assert "mlops/rebuilt_at" in MlflowRegistry(settings.mlflow_uri, settings.env).get("returns", 1).tags


@pytest.mark.slow
def test_changed_code_is_named_and_a_checkout_of_the_recorded_commit_is_identical(project):
    file = project / "mlops_assets" / "training" / "estimators.py"
    text = file.read_text()
    assert SEEDED in text
    file.write_text(text.replace(SEEDED, f"{SEEDED} + 1"))
    git(project, "commit", "-qam", "another seed")

    now = rebuild("--json")
    then = rebuild("--checkout", "--json")

    assert now.exit_code == 1, now.output
    assert "The first input that differs: code (recorded " in json.loads(now.output)["sentence"]
    assert then.exit_code == 0, then.output
    assert not [one for one in json.loads(then.output)["inputs"] if one["recorded"] not in (None, one["present"])]
    listed = subprocess.run(["git", "-C", str(project), "worktree", "list"], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def test_a_commit_that_is_nowhere_is_refused(project, tmp_path):
    from mlops_assets.cli.checkout import checked_out

    with pytest.raises(NoCheckout, match="fetch the commit"), checked_out(project, "0" * 40):
        pass
    with pytest.raises(NoCheckout, match="a git repository that has this commit"), checked_out(tmp_path, "0" * 40):
        pass
