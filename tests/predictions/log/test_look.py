"""One look at a rollout: the evidence of its own step, labels where the plan asks for them, and the champion of the step before."""

from datetime import timedelta
from pathlib import Path

import pytest
from predictions.log.served import NOON, answer, write_segment
from predictions.log.test_log_labels import READING, RULES, send, truth

from mlops_assets.predictions.log.compaction import compact
from mlops_assets.predictions.log.look import Log, look
from mlops_assets.rollout import machine
from mlops_assets.rollout.evidence import Judged
from mlops_assets.rollout.routing import Routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Rollout, Route

ROWS = 60
NEW = {"variant": "challenger", "assigned": "challenger", "version": 2}
ONLY_LABELS = dict.fromkeys(["error_share", "latency_p99", "prediction_shift", "null_share", "sample_ratio"], None)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "capture", str(tmp_path / "lake"), "binary")


def rollout(step: int, metrics: dict, steps: list[float]) -> Rollout:
    spec = RolloutSpec.model_validate({"steps": steps, "metrics": metrics})
    begun = machine.begin("returns", Route(1, "a", "/1"), Route(2, "b", "/2"), spec, number=1, now=NOON, why="new")
    for _ in range(step):
        paused = machine.pause(begun, who="", why="", now=NOON)
        begun = machine.promote(paused, who="", why="", now=NOON, full=False)
    return begun


def judged(log: Log, given: Rollout) -> dict[str, Judged]:
    routing = Routing("returns", given.champion, None, (), challenger=machine.traffic(given), rollout=given)
    evidence = look(log, routing, now=LATER, rules=RULES)
    assert (evidence.at, evidence.step) == (LATER, given.step)
    return {one.metric: one for one in evidence.judged}


def serve(log: Log, label: str, *, first: int, errors: int = 0, arms: str = "both") -> None:
    """Log 60 requests of each arm; the label of each is sent as feedback: 1 to the champion's, 0 to the challenger's."""
    old = [answer(first + place, 0.9, label=label, units=[f"{place:016x}"]) for place in range(ROWS)]
    new = [
        answer(
            first + 500 + place,
            0.9,
            label=label,
            units=[f"{place + 500:016x}"],
            **NEW,
            status=500 if place < errors else 200,
        )
        for place in range(ROWS)
    ]
    write_segment(log.capture, (old if arms == "both" else []) + new, f"{first:02}-w1-1.jsonl")
    truths = [truth(f"e{first + place}", "1", received=NOON + timedelta(minutes=30)) for place in range(ROWS)]
    truths += [truth(f"e{first + 500 + place}", "0", received=NOON + timedelta(minutes=30)) for place in range(ROWS)]
    send(log.capture, truths, f"{first:02}-w1-1.jsonl")


def test_labels_of_the_step_have_a_say_once_the_log_is_compacted(log: Log) -> None:
    """Everybody got 0.9: of the champion's 1 came true, of the challenger's 0, so that its squared error is 0.81 against 0.01."""
    steps = [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 100]
    given = rollout(1, {**ONLY_LABELS, "label": {"margin": 0.1, "min_labels": 20}}, steps)
    serve(log, "returns-2-1/1", first=1000)
    serve(log, "returns-2-1/10", first=3000)
    assert judged(log, given)["label"].outcome == "no_data"

    compact(log.capture, log.lake, READING)

    found = judged(log, given)["label"]
    assert (found.outcome, round(found.value, 6)) == ("fail", 0.8)
    assert f"{ROWS} units" in found.said, "the rows of step 10 are not those of step 1"


def test_with_all_traffic_the_champion_is_the_one_of_the_step_before(log: Log) -> None:
    serve(log, "returns-2-1/0", first=1000)
    serve(log, "returns-2-1/1", first=3000, errors=1, arms="new")

    found = judged(log, rollout(1, {**ONLY_LABELS, "error_share": {}}, [50, 100]))["error_share"]

    assert found.value == pytest.approx(1 / ROWS)
    assert f"champion 0 of {ROWS}" in found.said
