"""`mlops rollout …`, `approve`, `promote` and `rollback` where the model's file has steps: what moves, what is kept, what is said."""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from cli.version_world import NOW, World, mlops
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.clock import SimulatedClock
from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.rollout.errors import NoRollout, NotPossibleNow
from mlops_assets.rollout.evidence import Evidence, Judged
from mlops_assets.rollout.heartbeat import Heartbeat, Serving, write_heartbeat
from mlops_assets.rollout.rollouts import advance
from mlops_assets.rollout.routing import Routing, read_routing

SHOP = Path(__file__).parents[1] / "shop" / "defs"
MODEL = "returns"
WIDTH = 80


@pytest.fixture
def files(world: World) -> Path:
    """Return definition files whose model has steps; version 1 answers."""
    folder = Path(shutil.copytree(SHOP, world.folder / "defs"))
    model = folder / MODEL / "defs.yaml"
    model.write_text(f"{model.read_text()}  rollout: {{steps: [shadow, {{percent: 25, gate: manual}}, 100]}}\n")
    world.register("a", model=MODEL)
    mlops("promote", MODEL, "1")
    return folder


def routing(world: World) -> Routing:
    return read_routing(world.state, MODEL)[0]


def begin(world: World, files: Path) -> str:
    world.register("b", model=MODEL)
    return mlops("rollout", "start", MODEL, "2", "--reason", "better", "--by", "ann", "--defs", str(files))


def look(world: World, said: str = "0 of 400 requests failed; champion 0 of 9,600.") -> None:
    now = routing(world).rollout.started_at
    judged = Judged("error_share", "inconclusive", 0.0, 0.05, said)
    advance(world.state, MODEL, lambda routing: Evidence(now, 0, 400, (judged,)), now=now)


def shown(*arguments: str) -> str:
    """Return what a command prints on a terminal of 80 columns."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(WIDTH)})
    assert result.exit_code == 0, result.output
    return result.output


def test_start_takes_the_steps_of_the_file_and_the_entities_of_its_views(world: World, files: Path) -> None:
    said = begin(world, files)

    found = routing(world)
    assert (found.champion.version, found.challenger.route.version, found.challenger.share) == (1, 2, 0)
    assert found.challenger.assign_by == ("customer",)
    assert "rollout returns-2-1 has begun (steps: step shadow, step 25 %, step 100 %)" in said
    assert (found.history[-1].who, found.history[-1].reason) == ("ann", "better")
    assert world.aliases(MODEL) == {"champion": 1, "challenger": 2}


def test_approve_begins_a_rollout_where_the_file_has_steps(world: World, files: Path) -> None:
    world.register("b", model=MODEL, approval="manual")

    mlops("approve", MODEL, "2", "--reason", "fine", "--defs", str(files))

    assert (routing(world).champion.version, routing(world).rollout.challenger.version) == (1, 2)
    before = routing(world)
    mlops("approve", MODEL, "2", "--reason", "again", "--defs", str(files))
    assert routing(world) == before


def test_a_file_that_does_not_load_gives_nobody_all_the_traffic_by_accident(world: World, files: Path) -> None:
    world.register("b", model=MODEL, approval="manual")
    model = files / MODEL / "defs.yaml"
    model.write_text(model.read_text().replace("steps:", "stesp:"))

    refused = CliRunner().invoke(app, ["approve", MODEL, "2", "--reason", "fine", "--defs", str(files)])

    assert "the steps of its rollout" in str(refused.exception)
    assert routing(world).champion.version == 1


def test_a_model_without_steps_is_told_what_to_do(world: World) -> None:
    world.register("a")

    refused = CliRunner().invoke(app, ["rollout", "start", "delay", "1", "--defs", str(SHOP)])

    assert "run `mlops promote delay VERSION`" in str(refused.exception)


def test_promote_gives_everything_now_and_says_what_that_ends(world: World, files: Path) -> None:
    begin(world, files)

    said = mlops("promote", MODEL, "2", "--reason", "sure")

    assert "version 2 takes all traffic now. This ends rollout returns-2-1 (running)." in said
    assert (routing(world).champion.version, routing(world).previous.version) == (2, 1)
    assert (routing(world).challenger, routing(world).rollout.phase) == (None, "promoted")


def test_rollback_says_that_it_ends_the_rollout(world: World, files: Path) -> None:
    begin(world, files)

    said = mlops("rollback", MODEL, "--reason", "complaints", "--by", "bob")

    assert "This ends rollout returns-2-1 (running)." in said
    assert (routing(world).champion.version, routing(world).challenger) == (1, None)
    action = routing(world).rollout.actions[-1]
    assert (action.what, action.who, action.why) == ("aborted", "bob", "complaints")


def test_rollback_of_a_rollout_does_not_ask_for_the_files_of_a_version_that_answers_no_more(
    world: World, files: Path
) -> None:
    world.register("b", model=MODEL)
    mlops("promote", MODEL, "2")
    world.register("c", model=MODEL)
    mlops("rollout", "start", MODEL, "3", "--defs", str(files))
    assert routing(world).previous.version == 1
    shutil.rmtree(world.folder / "models" / "a")

    mlops("rollback", MODEL, "--reason", "complaints")

    assert (routing(world).champion.version, routing(world).challenger) == (2, None)
    with pytest.raises(CorruptArtifact):  # now it is version 1 that would answer
        mlops("rollback", MODEL, "--reason", "complaints")


def test_a_version_that_waits_is_let_go_by_name(world: World, files: Path) -> None:
    begin(world, files)
    model = files / MODEL / "defs.yaml"
    model.write_text(model.read_text().replace("rollout: {", "rollout: {on_new_version: wait, "))
    world.register("c", model=MODEL)
    assert "version 3 waits" in mlops("rollout", "start", MODEL, "3", "--defs", str(files))
    mlops("rollout", "abort", MODEL, "--reason", "no")

    said = mlops("rollout", "abort", MODEL, "--reason", "neither", "--by", "bob")

    assert "returns: version 3 no longer waits for its rollout." in said
    assert "returns-2-1" not in said
    last = routing(world).history[-1]
    assert (routing(world).queued, last.let_go, last.who, last.reason.rpartition(": ")[2]) == (
        None,
        3,
        "bob",
        "neither",
    )


def test_each_word_is_kept_and_a_word_at_the_wrong_time_changes_nothing(world: World, files: Path) -> None:
    begin(world, files)
    word = ("--reason", "a talk", "--by", "ann")

    assert "is paused, step shadow" in mlops("rollout", "pause", MODEL, *word)
    with pytest.raises(NotPossibleNow, match="Resume it, promote it to the next step, or abort it"):
        mlops("rollout", "pause", MODEL, *word)
    assert "is running, step 25 %" in mlops("rollout", "promote", MODEL, *word)
    assert routing(world).challenger.share == 0.25
    assert "is promoted, step 100 %" in mlops("rollout", "promote", MODEL, *word, "--full")
    assert [(one.what, one.who, one.why) for one in routing(world).rollout.actions[1:]] == [
        ("paused", "ann", "a talk"),
        ("step 25 %", "ann", "a talk"),
        ("promoted", "ann", "a talk"),
    ]
    assert (routing(world).champion.version, routing(world).previous.version) == (2, 1)


def test_resume_and_abort(world: World, files: Path) -> None:
    begin(world, files)
    mlops("rollout", "pause", MODEL, "--reason", "a talk")

    assert "is running, step shadow" in mlops("rollout", "resume", MODEL, "--reason", "done")
    assert "is aborted, step shadow" in mlops("rollout", "abort", MODEL, "--reason", "no")

    assert (routing(world).champion.version, routing(world).challenger) == (1, None)


def test_a_word_needs_a_reason_and_a_rollout(world: World, files: Path) -> None:
    assert CliRunner().invoke(app, ["rollout", "abort", MODEL]).exit_code == 2
    with pytest.raises(NoRollout, match="mlops rollout start returns VERSION"):
        mlops("rollout", "abort", MODEL, "--reason", "no")


def test_the_status_fits_a_terminal_and_tells_steps_evidence_words_and_servers(world: World, files: Path) -> None:
    SimulatedClock(world.folder / "clock").set(NOW)
    begin(world, files)
    look(world)
    mlops("rollout", "pause", MODEL, "--reason", "the data team asked for a day", "--by", "ann@desk")
    serving = Serving(generation=routing(world).generation, version=1, challenger=2)
    write_heartbeat(
        world.folder, Heartbeat(os.getpid(), "http://127.0.0.1:8080", time.time(), {MODEL: serving}), env="dev"
    )

    page = shown("rollout", "status", MODEL)

    assert max(map(len, page.splitlines())) <= WIDTH
    for part in (
        "returns-2-1",
        "was paused by ann@desk",
        "the data team asked for a day",
        "version 2",
        "customer",
        "shadow",
        "25 %",
    ):
        assert part in page
    for part in ("400", "undecided", "http://127.0.0.1:8080"):
        assert part in page


def test_the_status_says_who_answers_after_an_end(world: World, files: Path) -> None:
    begin(world, files)
    mlops("promote", MODEL, "2", "--reason", "sure")
    mlops("rollback", MODEL, "--reason", "complaints")

    page = shown("rollout", "status", MODEL)

    assert "Version 2 was promoted" in page
    assert "Version 1 answers since" in page
    assert "complaints" in page


def test_the_status_as_json_has_everything(world: World, files: Path) -> None:
    begin(world, files)
    look(world)

    found = json.loads(shown("rollout", "status", MODEL, "--json"))

    assert (found["champion"], found["challenger"]["route"]["version"], found["servers"]) == (1, 2, [])
    assert found["rollout"]["looks"][0]["judged"][0]["said"] == "0 of 400 requests failed; champion 0 of 9,600."


def test_a_model_that_never_had_a_rollout_has_a_status(world: World, files: Path) -> None:
    assert "no rollout yet; version 1 has all traffic" in shown("rollout", "status", MODEL)


def test_a_failure_is_an_exit_code_and_a_line_not_a_traceback(world: World, monkeypatch, capsys) -> None:
    from mlops_assets.cli.app import main

    monkeypatch.setattr(sys, "argv", ["mlops", "rollout", "status", "nobody"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert "materialise `nobody/deployment` first" in capsys.readouterr().err
