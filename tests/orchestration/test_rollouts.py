"""A rollout in Dagster: what its clock asks for, what one run does, and what the asset's page tells."""

import json
import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from predictions.log.served import answer, shadow, write_segment
from shop.deployment import Shop, error_of, value
from shop.world import FIRST_WEEK

from mlops_assets.assets.binding import EVENTS, VERDICT, VERSION
from mlops_assets.lake.state import StateStore, open_state
from mlops_assets.predictions.log.look import Log
from mlops_assets.predictions.log.look import look as look_at
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card
from mlops_assets.retraining.events import EventLog, new_event
from mlops_assets.rollout.errors import UnknownRoutingSchema
from mlops_assets.rollout.fall_back import fall_back
from mlops_assets.rollout.heartbeat import Heartbeat, Serving, write_heartbeat
from mlops_assets.rollout.rollouts import act, advance, start
from mlops_assets.rollout.routing import Routing, read_routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Route
from mlops_assets.rollout.traffic import give_all_traffic
from mlops_assets.training.mlflow_client import open_client

MODEL = "returns"
JOB = "returns_rollout"
PLAN = {
    "steps": ["shadow", 50, 100],
    "assign_by": ["customer"],
    "bake_minutes": 0,
    "min_requests": 20,
    "failure_limit": 1,
    "metrics": {"latency_p99": None},  # its bound takes more requests than a test should make
}
SPEC = RolloutSpec.model_validate(PLAN)
ALIKE = [0.1 * (place % 9) for place in range(300)]


@pytest.fixture(scope="module")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_client(f"sqlite:///{path}")
    return path


@pytest.fixture
def rolling(shop: Shop, empty_mlflow: Path) -> Shop:
    """Return a shop whose version 1 answers, and whose file has steps; nothing is trained."""
    shutil.copy(empty_mlflow, shop.home / "mlflow.db")
    file = shop.defs / MODEL / "defs.yaml"
    file.write_text(f"{file.read_text()}  rollout: {json.dumps(PLAN)}\n")
    shop.reload()
    give_all_traffic(state_of(shop), MODEL, route(1), now=FIRST_WEEK, reason="first")
    return shop


def route(version: int) -> Route:
    return Route(version, f"run{version}", f"/models/{version}")


def state_of(shop: Shop) -> StateStore:
    return open_state(shop.lake)


def routing_of(shop: Shop) -> Routing:
    return read_routing(state_of(shop), MODEL)[0]


def begin(shop: Shop, version: int = 2, spec: RolloutSpec = SPEC) -> None:
    start(state_of(shop), MODEL, route(version), spec, now=shop.replay.clock.now(), reason="better")


def wait(shop: Shop, **duration: float) -> datetime:
    shop.replay.clock.set(shop.replay.clock.now() + timedelta(**duration))
    return shop.replay.clock.now()


def serve(shop: Shop, label: str, scores: list[float], *, is_shadow: bool = False) -> None:
    """Log what servers would: one request for each score of the champion, and for each of the challenger."""
    at = {"at": shop.replay.clock.now(), "label": label}
    if is_shadow:
        lines = [answer(place, ALIKE[place], **at) for place in range(len(scores))]
        lines += [shadow(place, score, **at, version=2) for place, score in enumerate(scores)]
    else:
        lines = [answer(place, score, units=[f"{place:016x}"], **at) for place, score in enumerate(ALIKE)]
        arm = {"variant": "challenger", "assigned": "challenger", "version": 2}
        lines += [
            answer(1000 + place, score, units=[f"{place + 1000:016x}"], **at, **arm)
            for place, score in enumerate(scores)
        ]
    write_segment(shop.home / "capture" / "dev", lines, f"{label.replace('/', '-')}-{time.time_ns()}-1.jsonl")


def ask(shop: Shop) -> list[dg.RunRequest]:
    """Evaluate the sensor without running what it asks for."""
    definitions = shop.replay.definitions
    context = dg.build_sensor_context(
        instance=shop.replay.instance, definitions=definitions, resources=dict(definitions.resources)
    )
    answer = definitions.resolve_sensor_def("rollouts").evaluate_tick(context)
    assert answer.cursor is None, "what it remembers would be lost or wrong after a failed launch"
    return list(answer.run_requests or [])


def keys(shop: Shop) -> list[str]:
    return [str(request.run_key) for request in ask(shop)]


def look(shop: Shop) -> dg.ExecuteInProcessResult:
    """Let the interval pass, and do what the sensor asks for."""
    wait(shop, minutes=1)
    (run,) = shop.replay.tick("rollouts")
    return run


def test_a_model_without_steps_has_no_rollout(shop: Shop) -> None:
    graph = shop.replay.definitions.resolve_asset_graph()

    assert not graph.has(dg.AssetKey([MODEL, "rollout"]))
    assert JOB not in [job.name for job in shop.replay.definitions.jobs]
    assert [sensor.name for sensor in shop.replay.definitions.sensors] == ["retraining"]


def test_the_clock_asks_once_for_each_look_and_decides_nothing(rolling: Shop) -> None:
    assert ask(rolling) == []
    begin(rolling)
    assert ask(rolling) == [], "the interval has not passed"
    before = routing_of(rolling)
    wait(rolling, minutes=1)

    first, second = ask(rolling), ask(rolling)

    assert [request.run_key for request in first] == ["returns-2-1:0:1"] == [request.run_key for request in second]
    assert (first[0].job_name, first[0].tags["mlops/model"]) == (JOB, MODEL)
    assert routing_of(rolling) == before


def test_a_run_is_one_look_after_which_the_next_one_has_a_key_of_its_own(rolling: Shop) -> None:
    begin(rolling)

    run = look(rolling)

    assert run.success
    assert routing_of(rolling).rollout.ticks == 1
    assert keys(rolling) == []
    wait(rolling, minutes=1)
    assert keys(rolling) == ["returns-2-1:1:1"]


def test_a_model_whose_routing_cannot_be_read_stops_no_other_clock(rolling: Shop) -> None:
    other = Path(shutil.copytree(rolling.defs / MODEL, rolling.defs / "refunds")) / "defs.yaml"
    other.write_text(other.read_text().replace("name: returns", "name: refunds"))
    rolling.reload()
    state_of(rolling).swap("routing/refunds", {"schema_version": 99}, generation=0)
    begin(rolling)
    wait(rolling, minutes=1)

    assert keys(rolling) == ["returns-2-1:0:1"]
    aborted(rolling)
    rolling.replay.tick("rollouts")
    with pytest.raises(UnknownRoutingSchema, match="state routing/refunds"):
        ask(rolling)


def test_a_run_that_failed_is_tried_again_at_once_and_then_once_an_interval(rolling: Shop) -> None:
    """The key of the first attempt is used up for ever: without a number of its own, the second would never start."""
    begin(rolling, spec=SPEC.model_copy(update={"interval_seconds": 3600}))
    broken = Path(rolling.lake, "prediction_log", MODEL, "_delta_log")
    broken.mkdir(parents=True)
    (broken / "00000000000000000000.json").write_text("no json")
    wait(rolling, hours=1)

    runs = [run for _ in range(4) for run in rolling.replay.tick("rollouts")]

    found = [rolling.replay.instance.get_run_by_id(run.run_id).tags["dagster/run_key"] for run in runs]
    assert found == ["returns-2-1:0:1", "returns-2-1:0:2"]
    assert not any(run.success for run in runs)
    assert (routing_of(rolling).rollout.ticks, routing_of(rolling).rollout.phase) == (0, "running")


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
def test_while_a_run_is_under_way_no_other_is_asked_for(rolling: Shop, status: dg.DagsterRunStatus) -> None:
    begin(rolling)
    wait(rolling, minutes=1)
    rolling.replay.instance.create_run_for_job(rolling.replay.definitions.resolve_job_def(JOB), status=status)

    assert ask(rolling) == []


def test_a_healthy_challenger_comes_to_all_traffic_and_the_page_tells_how(rolling: Shop) -> None:
    begin(rolling)
    serve(rolling, "returns-2-1/0", ALIKE, is_shadow=True)
    first = look(rolling)
    assert (value(first, "rollout", "phase"), value(first, "rollout", "share")) == ("running", 0.5)
    for step in (1, 2):
        serve(rolling, f"returns-2-1/{step}", ALIKE)
        last = look(rolling)

    routing = routing_of(rolling)
    assert (routing.champion, routing.previous, routing.challenger) == (route(2), route(1), None)
    assert value(last, "rollout", "phase") == "promoted"
    assert value(last, "rollout", "requests") == len(ALIKE)
    assert value(last, "rollout", "metric/error_share") == 0
    assert [check.passed for check in last.get_asset_check_evaluations()] == [True]
    assert ask(rolling) == []


def test_wrong_predictions_end_in_the_shadow_and_the_check_warns(rolling: Shop) -> None:
    begin(rolling)
    serve(rolling, "returns-2-1/0", [1 - score for score in ALIKE], is_shadow=True)

    run = look(rolling)

    assert run.success, "a rollback is an answer, not a failure"
    assert routing_of(rolling).champion == route(1)
    assert [one.route.version for one in routing_of(rolling).history] == [1, 1, 1], "version 2 answered nobody"
    assert value(run, "rollout", "phase") == "rolled_back"
    (check,) = run.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "PSI" in str(check.metadata["reason"].value)
    assert ask(rolling) == []


def test_labels_that_cannot_be_read_keep_nobody_from_judging_the_rest(rolling: Shop) -> None:
    begin(
        rolling, spec=RolloutSpec.model_validate({**PLAN, "metrics": {"latency_p99": None, "label": {"margin": 0.1}}})
    )
    serve(rolling, "returns-2-1/0", [1 - score for score in ALIKE], is_shadow=True)
    facts = {"at": rolling.replay.clock.now(), "label": "returns-2-1/0", "request": [{"order_id": 7, "customer": "c"}]}
    write_segment(rolling.home / "capture" / "dev", [answer(9999, **facts)], "ordered-1.jsonl")
    wait(rolling, minutes=2)
    rolling.replay.run("returns_log")
    assert not Path(rolling.lake, "raw").exists(), "what the spine is read from"

    run = look(rolling)

    assert (run.success, routing_of(rolling).rollout.phase) == (True, "rolled_back")
    logged = [str(event.user_message) for event in rolling.replay.instance.all_logs(run.run_id)]
    assert any("labels cannot be read" in one for one in logged)


def fell_back(shop: Shop) -> None:
    fall_back(state_of(shop), MODEL, "returns-2-1/0", why="8 of 10 requests failed", now=shop.replay.clock.now())


def aborted(shop: Shop) -> None:
    act(state_of(shop), MODEL, "abort", who="ann", why="no", now=shop.replay.clock.now())


def promoted_by_hand(shop: Shop) -> None:
    give_all_traffic(state_of(shop), MODEL, route(2), now=shop.replay.clock.now(), reason="sure", who="ann")


@pytest.mark.parametrize(
    ("end", "phase"), [(fell_back, "rolled_back"), (aborted, "aborted"), (promoted_by_hand, "promoted")]
)
def test_an_end_that_no_run_has_brought_is_recorded_once(
    rolling: Shop, end: Callable[[Shop], None], phase: str
) -> None:
    begin(rolling)
    look(rolling)
    end(rolling)
    before = routing_of(rolling)

    (run,) = rolling.replay.tick("rollouts")

    assert value(run, "rollout", "phase") == phase
    assert rolling.replay.instance.get_run_by_id(run.run_id).tags["dagster/run_key"] == "returns-2-1:1:1"
    assert routing_of(rolling) == before
    assert ask(rolling) == []


def told(run: dg.ExecuteInProcessResult) -> list[tuple[str, str]]:
    """Return, for each rollout that a run has put on the page, its id and phase, in order."""
    found = [event.step_materialization_data.materialization for event in run.get_asset_materialization_events()]
    return [(one.metadata["rollout"].value, one.metadata["phase"].value) for one in found]


def test_a_rollout_that_a_newer_version_supersedes_has_an_end_on_the_page(rolling: Shop) -> None:
    begin(rolling)
    look(rolling)
    begin(rolling, 3)
    begin(rolling, 4)

    first = look(rolling)
    second = look(rolling)

    assert told(first) == [("returns-2-1", "superseded"), ("returns-3-1", "superseded"), ("returns-4-1", "running")]
    assert "superseded at step shadow" in str(value(first, "rollout", "state"))
    assert "version 3: better" in str(value(first, "rollout", "reason"))
    assert told(second) == [("returns-4-1", "running")]
    assert routing_of(rolling).untold == ()


def test_an_end_that_the_next_rollout_came_before_is_told_if_no_run_has(rolling: Shop) -> None:
    begin(rolling)
    look(rolling)
    aborted(rolling)
    begin(rolling, 3)
    assert told(look(rolling)) == [("returns-2-1", "aborted"), ("returns-3-1", "running")]

    aborted(rolling)
    rolling.replay.tick("rollouts")
    begin(rolling, 4)
    assert told(look(rolling)) == [("returns-4-1", "running")]


def test_an_end_stays_to_be_recorded_until_a_run_has(rolling: Shop) -> None:
    """As when the run was killed between the swap and the record."""
    begin(rolling)
    serve(rolling, "returns-2-1/0", [1 - score for score in ALIKE], is_shadow=True)
    now, log = wait(rolling, minutes=1), Log(rolling.home / "capture" / "dev", rolling.lake, "binary")
    advance(state_of(rolling), MODEL, lambda routing: look_at(log, routing, now=now), now=now)

    (run,) = rolling.replay.tick("rollouts")

    assert value(run, "rollout", "phase") == "rolled_back"
    assert ask(rolling) == []


def test_a_version_that_waited_begins_when_its_turn_has_come(rolling: Shop) -> None:
    waits = SPEC.model_copy(update={"on_new_version": "wait"})
    begin(rolling)
    begin(rolling, 3, waits)
    wait(rolling, minutes=1)
    assert keys(rolling) == ["returns-2-1:0:1"], "the rollout that is under way goes on"
    aborted(rolling)

    ended = rolling.replay.tick("rollouts")
    begun = rolling.replay.tick("rollouts")

    assert [value(run, "rollout", "rollout") for run in (*ended, *begun)] == ["returns-2-1", "returns-3-1"]
    assert (routing_of(rolling).challenger.route, routing_of(rolling).queued) == (route(3), None)


def test_a_challenger_that_a_server_cannot_load_is_rolled_back_with_the_reason(rolling: Shop) -> None:
    begin(rolling)
    report = Serving(1, 1, "file model.skops: no such file", routing_of(rolling).generation)
    beat = Heartbeat(os.getpid(), "http://here", time.time(), {MODEL: report})
    write_heartbeat(rolling.home, beat, env="dev")

    run = look(rolling)

    assert (value(run, "rollout", "phase"), routing_of(rolling).challenger) == ("rolled_back", None)
    assert "http://here could not load it: file model.skops" in str(value(run, "rollout", "reason"))


def test_a_first_version_has_no_rollout_to_show(rolling: Shop) -> None:
    run = rolling.replay.run(JOB)

    assert (run.success, run.get_asset_materialization_events()) == (True, [])


def test_before_the_first_deployment_a_run_says_what_to_do(rolling: Shop) -> None:
    shutil.rmtree(Path(rolling.lake, "routing"))

    failed = rolling.replay.run(JOB, may_fail=True)

    assert ask(rolling) == []
    assert "materialise `returns/deployment` first" in error_of(failed)


def test_an_event_is_open_until_the_rollout_of_its_version_ends(rolling: Shop) -> None:
    log, now = EventLog(state_of(rolling)), rolling.replay.clock.now()
    event = new_event(MODEL, version=1, kind="drift", window="w", subject="a", reasons=("b",), evidence={}, now=now)
    log.open_event(event)
    decisions = (Decision("approved", "", now, "auto"),)
    add_card(state_of(rolling), VersionCard(MODEL, 2, "run2", "run2", "/models/2", "aa", now, decisions))
    begin(rolling)
    job = rolling.replay.definitions.resolve_job_def("returns_retrain")
    tags = {EVENTS: event.id, VERDICT: "waiting", VERSION: "2"}
    rolling.replay.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.SUCCESS)

    assert rolling.replay.tick("retraining") == []
    assert log.history(MODEL)[0].is_open
    act(state_of(rolling), MODEL, "promote", who="ann", why="sure", now=wait(rolling, minutes=1), full=True)
    assert rolling.replay.tick("retraining") == []
    assert log.history(MODEL)[0].verdict == "promoted"
