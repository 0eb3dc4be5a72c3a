"""The README's way: the demo on real flights, interrupted and gone on with; then the guide's second model by one file."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.definitions import DEFS, build_definitions
from mlops_assets.lake.state import open_state
from mlops_assets.resources.instance import open_instance
from mlops_assets.rollout.routing import read_routing
from mlops_assets.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "second-model.md"


def demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "MLOPS_HOME": str(home), "COLUMNS": "160", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "mlops_assets.cli.app", "demo", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Return the home of a demo of one week."""
    home = tmp_path_factory.mktemp("demo") / "home"
    done = demo(home, "--weeks", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_the_demo_trains_deploys_scores_and_ends_with_its_timeline(home: Path) -> None:
    routing, _ = read_routing(open_state(str(home / "lake" / "dev")), "flight_delay")
    assert routing.champion.version == 1
    weeks = json.loads((home / "demo.json").read_text())["weeks"]
    assert [(week["window"], week["version"]) for week in weeks] == [("2013-03-31", 1)]


def test_the_demo_ends_with_a_wrong_version_that_nobody_met(home: Path) -> None:
    routing, _ = read_routing(open_state(str(home / "lake" / "dev")), "flight_delay")
    mishap = json.loads((home / "demo.json").read_text())["mishap"]

    assert (routing.champion.version, routing.challenger) == (1, None)
    assert (routing.rollout.challenger.version, routing.rollout.phase) == (2, "rolled_back")
    assert (mishap["version"], mishap["phase"], mishap["steps"]) == (2, "rolled back", "shadow")
    assert "PSI" in mishap["why"]
    status = [sys.executable, "-m", "mlops_assets.cli.app", "rollout", "status", "flight_delay"]
    shown = subprocess.run(
        status, env={**os.environ, "MLOPS_HOME": str(home)}, capture_output=True, text=True, check=True
    )
    assert "rolled back" in shown.stdout


def test_the_demo_goes_on_where_it_stopped(home: Path) -> None:
    done = demo(home, "--weeks", "2")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ingesting January" not in done.stdout
    assert "2013-04-07" in done.stdout
    assert "Mean weekly AUC" in done.stdout
    weeks = json.loads((home / "demo.json").read_text())["weeks"]
    assert [week["window"] for week in weeks] == ["2013-03-31", "2013-04-07"]


def test_a_restart_puts_the_earlier_demo_aside(tmp_path: Path) -> None:
    from mlops_assets.cli.demo.run import put_aside

    home = tmp_path / "home"
    home.mkdir()
    (home / "kept").write_text("mine")

    put_aside(home)

    assert not home.exists()
    assert [path.read_text() for path in tmp_path.glob("home-*/kept")] == ["mine"]


def test_the_demo_leaves_a_lake_of_your_own_alone(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()

    done = demo(tmp_path)

    assert done.returncode == 1
    assert "a lake of your own" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]


def test_the_guides_second_model_is_one_file(home: Path, tmp_path: Path, monkeypatch) -> None:
    files = Path(shutil.copytree(DEFS, tmp_path / "defs"))
    (block,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    (files / "departure_delay").mkdir()
    (files / "departure_delay" / "defs.yaml").write_text(block)
    monkeypatch.setenv("MLOPS_HOME", str(home))
    check = [sys.executable, "-m", "mlops_assets.cli.app", "check", "--defs", str(files)]
    checked = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout

    job = build_definitions(files, strict=True).resolve_job_def("departure_delay_retrain")
    with open_instance(load_settings()) as instance:
        result = job.execute_in_process(instance=instance)

    assert result.success
    routing, _ = read_routing(open_state(str(home / "lake" / "dev")), "departure_delay")
    assert routing.champion.version == 1
    verdict = next(
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["departure_delay", "evaluation"])
    )
    assert verdict["gate/baseline"].value > 0
