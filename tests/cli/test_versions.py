"""A person's word about versions: approve, reject, promote, roll back. Traffic first, and every word is kept."""

import getpass
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli.version_world import mlops

from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.registry.errors import AlreadyDecided, NoSuchVersion, NotDeployable
from mlops_assets.registry.lifecycle import known_card
from mlops_assets.resources.instance import open_instance
from mlops_assets.rollout.errors import NoPreviousVersion, NotRouted
from mlops_assets.rollout.routing import read_routing
from mlops_assets.settings import load_settings


def test_an_approved_version_takes_the_traffic_and_keeps_who_said_so(world):
    world.register("a", approval="manual")
    assert (world.live(), world.aliases()) == (None, {"challenger": 1})

    said = mlops("approve", "delay", "1", "--reason", "looks right")

    (decision,) = known_card(world.state, "delay", 1).decisions
    assert (decision.what, decision.why) == ("approved", "looks right")
    assert decision.who == f"{getpass.getuser()}@{socket.gethostname()}"
    entry = read_routing(world.state, "delay")[0].history[-1]
    assert (entry.route.version, entry.who, entry.reason) == (1, decision.who, "looks right")
    assert world.aliases() == {"champion": 1}
    tags = world.registry.get("delay", 1).tags
    assert (tags["mlops/status"], tags["mlops/decided_by"], tags["mlops/decided_why"]) == (
        "approved",
        decision.who,
        "looks right",
    )
    assert "version 1 answers (no server runs on this machine)" in said


def test_approving_twice_changes_nothing_even_after_a_newer_version(world):
    world.register("a", approval="manual")
    mlops("approve", "delay", "1", "--reason", "first")
    world.register("b")
    mlops("promote", "delay", "2")
    before = read_routing(world.state, "delay"), known_card(world.state, "delay", 1)

    mlops("approve", "delay", "1", "--reason", "second", "--by", "bob")

    assert (read_routing(world.state, "delay"), known_card(world.state, "delay", 1)) == before


def test_an_approval_that_was_killed_before_the_routing_is_completed_by_the_next(world):
    world.register("a", approval="manual")
    mlops("approve", "delay", "1", "--reason", "yes", "--no-deploy")  # leaves what a kill would leave
    assert world.live() is None

    mlops("approve", "delay", "1", "--reason", "yes")

    assert world.live() == 1
    assert len(known_card(world.state, "delay", 1).decisions) == 1


def test_a_rejected_version_is_refused_by_every_way_in(world):
    world.register("a")
    world.register("b", approval="manual")
    mlops("promote", "delay", "1")
    mlops("reject", "delay", "2", "--reason", "wrong prices", "--by", "eve")

    for arguments in (("promote", "delay", "2"), ("approve", "delay", "2", "--reason", "please")):
        with pytest.raises((NotDeployable, AlreadyDecided), match=r"rejected by eve .*\(wrong prices\)"):
            mlops(*arguments)
    assert world.live() == 1
    assert world.aliases() == {"champion": 1}
    assert world.registry.get("delay", 2).tags["mlops/status"] == "rejected"


def test_a_version_that_waits_is_not_promoted_and_an_approved_one_not_rejected(world):
    world.register("a", approval="manual")
    world.register("b")
    with pytest.raises(NotDeployable, match="pending"):
        mlops("promote", "delay", "1")
    with pytest.raises(AlreadyDecided, match="mlops rollback delay --reject"):
        mlops("reject", "delay", "2", "--reason", "no")
    with pytest.raises(NoSuchVersion, match="found versions 1, 2"):
        mlops("promote", "delay", "9")


def test_traffic_goes_back_once_and_is_promoted_again(world):
    for candidate in "ab":
        world.register(candidate)
    with pytest.raises(NotRouted):
        mlops("rollback", "delay")
    mlops("promote", "delay", "1", "--reason", "start")
    mlops("promote", "delay", "2", "--reason", "better", "--by", "ann")
    assert world.aliases() == {"champion": 2, "previous": 1}

    mlops("rollback", "delay", "--reason", "errors", "--by", "bob")

    assert world.live() == 1
    assert world.aliases() == {"champion": 1, "challenger": 2}
    history = read_routing(world.state, "delay")[0].history
    assert [(entry.route.version, entry.who, entry.reason) for entry in history[1:]] == [
        (2, "ann", "better"),
        (1, "bob", "errors"),
    ]
    with pytest.raises(NoPreviousVersion, match="mlops promote delay VERSION"):
        mlops("rollback", "delay")
    assert known_card(world.state, "delay", 2).status == "approved"
    mlops("promote", "delay", "2")
    assert world.live() == 2


def test_a_rollback_may_reject_for_good(world):
    for version, candidate in enumerate("ab", 1):
        world.register(candidate)
        mlops("promote", "delay", str(version))

    mlops("rollback", "delay", "--reject", "--reason", "wrong prices")

    assert [one.what for one in known_card(world.state, "delay", 2).decisions] == ["approved", "rejected"]
    assert world.aliases() == {"champion": 1}
    with pytest.raises(NotDeployable, match="wrong prices"):
        mlops("promote", "delay", "2")


@pytest.mark.parametrize("command", [("promote", "delay", "1"), ("rollback", "delay")])
def test_a_saved_model_that_is_not_whole_gets_no_traffic(world, command):
    cards = [world.register(candidate) for candidate in "ab"]
    if command[0] == "rollback":
        mlops("promote", "delay", "1")
    mlops("promote", "delay", "2")
    Path(cards[0].artifact_uri, "weights").write_bytes(b"other")

    with pytest.raises(CorruptArtifact, match="file weights"):
        mlops(*command)
    assert world.live() == 2


def test_traffic_moves_while_mlflow_is_down_and_the_next_command_repairs_the_aliases(world, monkeypatch):
    for candidate in "ab":
        world.register(candidate)
    mlops("promote", "delay", "1")
    monkeypatch.setattr("mlops_assets.cli.decisions.PATIENCE_SECONDS", 0.2)
    with monkeypatch.context() as down:
        down.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        said = mlops("promote", "delay", "2")
    assert "MLflow's aliases are behind" in said
    assert (world.live(), world.aliases()) == (2, {"champion": 1, "challenger": 2})

    mlops("promote", "delay", "2")

    assert world.aliases() == {"champion": 2, "previous": 1}


AT_THE_WRITE = """
import os, sys
HEAVY = {"mlflow", "pandas", "sklearn", "xgboost", "dagster", "numpy", "pyarrow", "fsspec", "duckdb"}
has_written = False
def watch(event, arguments):
    global has_written
    if event == "import" and arguments[0] in HEAVY:
        os._exit(0 if has_written else 1)
    has_written = has_written or event == "os.rename" and str(arguments[1]).endswith("routing/delay.json")
sys.addaudithook(watch)
from mlops_assets.cli.app import main
sys.argv = ["mlops", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("command", [("promote", "delay", "1"), ("rollback", "delay"), ("approve", "delay", "3")])
def test_nothing_heavy_is_imported_before_traffic_has_moved(world, command):
    for candidate in "ab":
        world.register(candidate)
    world.register("c", approval="manual")
    mlops("promote", "delay", "1")
    mlops("promote", "delay", "2")
    reason = ("--reason", "now")

    code = [sys.executable, "-c", AT_THE_WRITE, *command, *reason]
    subprocess.run(code, capture_output=True, text=True, check=True)  # it ends where it would import the first

    assert world.live() == (3 if command[0] == "approve" else 1)


def test_dagster_shows_what_a_person_deployed(world, monkeypatch):
    import dagster as dg

    monkeypatch.setenv("DAGSTER_HOME", str(world.folder / "dagster"))
    settings = load_settings()
    with open_instance(settings) as instance:
        world.register("a")
        mlops("promote", "delay", "1", "--by", "ann")
        event = instance.get_latest_materialization_event(dg.AssetKey(["delay", "deployment"]))
    metadata = event.asset_materialization.metadata
    assert (metadata["version"].value, metadata["routed_by"].value) == (1, "ann")
