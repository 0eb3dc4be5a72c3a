"""Experiment, rollout, forgetting and retention where the lake is a bucket: the commands and runs of one model, one after the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO

import pyarrow.parquet as pq
import pytest
from orchestration.conftest import opened
from orchestration.test_experiments import CUSTOMERS, EXPERIMENT, Served
from predictions.log.served import answer
from services import AWS, moto
from shop.deployment import JOB, TRAINING_WEEKS, Shop, value
from shop.world import week_start
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.evaluation.verdict import Approved
from mlops_assets.lake.files import list_files, read_bytes
from mlops_assets.lake.state import StateStore, open_state
from mlops_assets.lake.tables import read
from mlops_assets.predictions.log.segments import closed_segments
from mlops_assets.predictions.log.table import day_of, feedback_uri, log_uri
from mlops_assets.registry.lifecycle import known_card
from mlops_assets.registry.register import register_approved
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.settings import load_settings

__all__ = ["moto"]
pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(580)]
STEPS = """
  rollout: {steps: [shadow, 25, 100], assign_by: [customer], bake_minutes: 0, min_requests: 20}
  prediction_log: {retention_days: 3}
"""
TIMES = 30  # that each writer looks or speaks
MODEL = "returns"


@pytest.fixture(scope="module")
def served(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a shop in a bucket whose version 1 answers, and whose version 2 is the same model once more."""
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    name = f"lake-{uuid.uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as patch:
        for variable, given in {**AWS, "AWS_ENDPOINT_URL": moto, "MLOPS_LAKE": f"s3://{name}"}.items():
            patch.setenv(variable, given)
        boto3.client("s3").create_bucket(Bucket=name)
        with opened(tmp_path_factory.mktemp("s3"), patch) as shop:
            file = shop.defs / MODEL / "defs.yaml"
            file.write_text(file.read_text().rstrip("\n") + EXPERIMENT.replace("approval: manual", "") + STEPS)
            shop.reload()
            shop.prepare()
            shop.replay.run(JOB)
            register_again(shop)
            shop.replay.clock.set(week_start(TRAINING_WEEKS))
            yield Served(shop)


def register_again(shop: Shop) -> None:
    settings, now = load_settings(), shop.replay.clock.now()
    state = open_state(settings.lake)
    card = known_card(state, MODEL, 1)
    register_approved(
        MlflowRegistry(settings.mlflow_uri, settings.env),
        state,
        Approved(candidate_id="again", criteria=(), notes=(), candidate_sha256=card.sha256, evaluated_at=now),
        model=MODEL,
        artifact_uri=card.artifact_uri,
        lineage=card.lineage,
        approval="auto",
        now=now,
    )


def state_of(served: Served) -> StateStore:
    return open_state(served.shop.lake)


def mlops(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def test_1_an_experiment_is_planned_started_looked_at_and_won(served: Served) -> None:
    assert served.shop.lake.startswith("s3://")
    assert "units" in served.command("plan", MODEL)
    started = served.command("start", MODEL, "2", "--hypothesis", "more orders are kept")
    assert "experiment returns-ab-2-1 has begun" in started

    for _ in range(3):
        last = served.next_day()

    assert (served.experiment.phase, served.experiment.looks[-1].verdict) == ("concluded", "win")
    assert value(last, "experiment", "verdict") == "win"
    assert "The challenger is better" in str(value(last, "experiment", "said"))
    shown = json.loads(served.command("status", MODEL, "--json"))
    assert (shown["verdict"], shown["id"]) == ("win", "returns-ab-2-1")
    page = f"{served.shop.lake}/experiments/returns/returns-ab-2-1/decision.md"
    assert shown["decision"] == page
    assert "**Verdict:** win" in read_bytes(page).decode()
    assert json.loads(read_bytes(page.replace(".md", ".json")))["hypothesis"] == "more orders are kept"
    assert not (served.shop.home / "lake").exists()


def test_2_the_winner_is_in_a_rollout_that_can_be_watched_and_aborted(served: Served) -> None:
    found = json.loads(mlops("rollout", "status", MODEL, "--json"))
    assert (found["champion"], found["challenger"]["share"], found["rollout"]["id"]) == (1, 1.0, "returns-2-1")
    assert "Version 2 is at step 100 % (1 of 1)" in mlops("rollout", "status", MODEL)

    assert "returns-2-1 is aborted" in mlops("rollout", "abort", MODEL, "--reason", "a test")
    assert (served.routing.champion.version, served.routing.challenger) == (1, None)


def test_3_a_rollout_is_begun_superseded_promoted_and_rolled_back(served: Served) -> None:
    defs = ("--defs", str(served.shop.defs))
    assert "returns-2-2 has begun" in mlops("rollout", "start", MODEL, "2", *defs)
    mlops("rollout", "pause", MODEL, "--reason", "a talk")
    assert "is running, step 25 %" in mlops("rollout", "promote", MODEL, "--reason", "done")
    assert served.routing.challenger.share == 0.25
    run = served.shop.replay.run("returns_rollout")
    told = [one.step_materialization_data.materialization for one in run.get_asset_materialization_events()]
    rollouts = [one.metadata for one in told if one.asset_key.path[-1] == "rollout"]
    assert [(one["rollout"].value, one["phase"].value) for one in rollouts] == [
        ("returns-2-1", "aborted"),
        ("returns-2-2", "running"),
    ]
    mlops("rollout", "promote", MODEL, "--reason", "sure", "--full")
    assert (served.routing.champion.version, served.routing.rollout.phase) == (2, "promoted")

    mlops("rollback", MODEL, "--reason", "complaints")
    assert (served.routing.champion.version, served.routing.previous) == (1, None)


LOOKER = """
import sys
from datetime import datetime, timedelta
from mlops_assets.lake.state import open_state
from mlops_assets.rollout.evidence import Evidence, Judged
from mlops_assets.rollout.rollouts import act, advance
lake, word, first, count = sys.argv[1], sys.argv[2], datetime.fromisoformat(sys.argv[3]), int(sys.argv[4])
state, judged = open_state(lake), (Judged("error_share", "inconclusive", 0.1, 0.05, ""),)
print("ready", flush=True)
sys.stdin.readline()
for place in range(count):
    now = first + timedelta(seconds=place)
    if word == "look":
        advance(state, "returns", lambda routing: Evidence(now, routing.rollout.step, 1, judged), now=now)
    else:
        act(state, "returns", ("pause", "resume")[place % 2], who="ann", why=f"word {place}", now=now)
"""


def test_4_of_two_writers_at_once_none_loses_a_word(served: Served) -> None:
    mlops("rollout", "start", MODEL, "2", "--defs", str(served.shop.defs))
    before = served.routing
    first, processes = served.shop.replay.clock.now() + timedelta(minutes=1), []
    for word in ("look", "look", "speak"):
        code = [sys.executable, "-c", LOOKER, served.shop.lake, word, first.isoformat(), str(TIMES)]
        processes.append(subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0

    rollout = served.routing.rollout
    assert [one.why for one in rollout.actions[1:]] == [f"word {place}" for place in range(TIMES)]
    assert 0 < rollout.ticks == rollout.looks[0].looks <= 2 * TIMES
    assert served.routing.generation == before.generation + TIMES + rollout.ticks
    mlops("rollout", "abort", MODEL, "--reason", "enough")


WHO = "c150"  # asked on the first day, and is no customer of the shop's tables


def places_of(served: Served, name: str) -> list[str]:
    """Return every file of the log, in the bucket and on this machine, that holds a text in a cell or in its bytes."""
    local = {str(path): path.read_bytes() for path in served.shop.home.glob("capture/**/*") if path.is_file()}
    uris = [uri for kind in ("prediction_log", "feedback") for uri in list_files(f"{served.shop.lake}/{kind}/{MODEL}")]
    return [place for place, data in [*local.items(), *((uri, read_bytes(uri)) for uri in uris)] if holds(data, name)]


def holds(data: bytes, text: str) -> bool:
    is_parquet = data.startswith(b"PAR1")
    return text.encode() in data or (is_parquet and f"'{text}'" in repr(pq.read_table(BytesIO(data)).to_pylist()))


def asked_again(served: Served, customer: str) -> None:
    """Leave a closed and a live segment with orders of a customer that no run has compacted."""
    now = served.shop.replay.clock.now()
    folder = served.shop.home / "capture/dev/returns/AllTraffic" / f"{now:%Y/%m/%d/%H}"
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in ((900_001, "00-w7-1.jsonl"), (900_002, "00-w8-1.open")):
        request = [{"customer": customer, "amount": 20.0, "channel": "app"}]
        (folder / name).write_bytes(
            answer(number, request=request, at=now) + b"\n" + answer(number + 10, at=now) + b"\n"
        )


def test_5_a_person_is_forgotten_in_tables_feedback_and_segments(served: Served) -> None:
    asked_again(served, WHO)
    rows, labels = read(log_uri(served.shop.lake, MODEL)), read(feedback_uri(served.shop.lake, MODEL))
    theirs = {row["event_id"] for row in rows.to_pylist() if row["customer"] == WHO}
    assert len(theirs) == 2
    assert theirs <= set(labels["event_id"].to_pylist())
    assert len(places_of(served, WHO)) >= 3

    said = mlops("forget", f"customer={WHO}", "--reason", "a letter", "--defs", str(served.shop.defs))

    assert "Nothing is left in the lake" in said, said
    assert places_of(served, WHO) == []
    after = read(log_uri(served.shop.lake, MODEL)), read(feedback_uri(served.shop.lake, MODEL))
    assert not theirs & {one for table in after for one in table["event_id"].to_pylist()}
    assert [table.num_rows - 2 for table in (rows, labels)] == [table.num_rows for table in after]
    left = [path.read_bytes().splitlines() for path in closed_segments(served.shop.home / "capture")]
    assert [len(list(filter(bytes.strip, lines))) for lines in left] == [1, 1], "what others asked stays"


def test_6_what_is_past_its_retention_goes_from_tables_feedback_and_segments(served: Served) -> None:
    clock, lake, capture = served.shop.replay.clock, served.shop.lake, served.shop.home / "capture"
    kept_from = day_of(clock.now() - timedelta(days=1))  # the last day that was served
    clock.set(clock.now() + timedelta(days=2))
    old, young = closed_segments(capture)
    os.utime(old, times=(0, 0))
    before = oldest(lake)
    assert max(before) < kept_from
    command = ("retention", "--defs", str(served.shop.defs))

    said = mlops(*command, "--dry-run")
    assert f"1 segments before {kept_from}" in said
    assert (oldest(lake), old.exists()) == (before, True)
    assert f"1 segments before {kept_from}" in mlops(*command)
    assert oldest(lake) == [kept_from] * 2
    assert (old.exists(), young.exists()) == (False, True)
    assert f"before {kept_from}" not in mlops(*command, "--dry-run")

    served.serve()
    clock.set(clock.now() + timedelta(days=5))
    run = served.shop.replay.run("returns_log")
    assert (
        value(run, "prediction_log", "expired_rows") >= 3 * CUSTOMERS
    )  # each with two orders, and half of them fed back
    assert closed_segments(capture) == []


def oldest(lake: str) -> list[str]:
    """Return the oldest day of the log and of the feedback."""
    tables = ((log_uri, "prediction_time"), (feedback_uri, "received_at"))
    return [day_of(min(read(uri(lake, MODEL))[time].to_pylist())) for uri, time in tables]
