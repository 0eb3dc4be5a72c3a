"""A running server looks features up in DynamoDB, and goes on when DynamoDB hangs, ends, or hands work back."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from features.online.world import at
from services import AWS, own_moto
from serving.lookup_world import FALLBACK, publish, save_model, shelves

from mlops_assets.clock import SimulatedClock
from mlops_assets.features.online.dynamodb_items import Throttled
from mlops_assets.features.online.dynamodb_store import DynamoStore
from mlops_assets.features.online.places import open_store
from mlops_assets.features.online.schema import Schema
from mlops_assets.features.online.store import StoredView, encode_state
from mlops_assets.lake.state import LocalState
from mlops_assets.predictions.log.segments import all_segments
from mlops_assets.rollout.routing import Route
from mlops_assets.rollout.traffic import give_all_traffic
from tests.serving.fleet import Fleet, serving
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.service, pytest.mark.timeout(580)]
URL = "dynamodb://shop?region=us-east-1"
ANN = {"customer": "ann", "item": 1, "n": 3}
ANNS = 1 + 100 + 1000 + 100_000 + 3
SCHEMA = Schema("view", "d" * 64, (("who", "string"),), (("n", "int64"),), None)
STORED = StoredView(SCHEMA, 1, source_version=1, as_of_us=0, forgotten="")
LOOKED = ["amount", "city", "is_new", "price"]
FALLEN_BACK = 7 + 100 + 3


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen]:
    pytest.importorskip("boto3", reason="boto3 is not installed")
    with own_moto() as (url, process):
        for name, value in {**AWS, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        yield process


@pytest.fixture
def fleet(dynamodb: subprocess.Popen, tmp_path: Path) -> Iterator[Fleet]:
    """Return a server whose model looks two views up in DynamoDB, at six hours after the beginning of the world."""
    customers, items = shelves(tmp_path / "features", open_store(URL, env="dev"))
    publish(customers, items)
    folder = save_model(tmp_path / "model", customers, items)
    SimulatedClock(tmp_path / "clock").set(at(6))
    state = LocalState(str(tmp_path / "lake" / "dev"))
    give_all_traffic(state, "churn", Route(1, "run1", str(folder)), now=datetime.now(UTC), reason="test")
    with serving(tmp_path, "--lookup-ms", "2000", "--deadline-ms", "20000", MLOPS_ONLINE_STORE=URL) as fleet:
        until(fleet.workers, seconds=200)
        yield fleet


def ask(fleet: Fleet) -> float:
    status, reply = fleet.ask("/invocations", {"dataframe_records": [ANN]})
    assert status == 200, reply
    return json.loads(reply)["predictions"][0]


def logged(fleet: Fleet) -> list[dict[str, Any]]:
    """Return what the log says of each answer, oldest first."""
    lines = [line for path in all_segments(fleet.home / "capture") for line in path.read_bytes().splitlines()]
    return [json.loads(json.loads(line)["captureData"]["endpointOutput"]["data"]) for line in lines]


def level(fleet: Fleet, name: str) -> float:
    return sum(value for key, value in fleet.samples().items() if key[0] == name)


class Busy:
    """DynamoDB as it is when it has no capacity left: it hands back what it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": {"k": {"B": b"state"}, "v": {"B": encode_state(STORED)}}}

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803  (its name for it)
        self.asked += 1
        return {"Responses": {}, "UnprocessedKeys": RequestItems}


def test_within_a_request_nobody_waits_for_a_busy_dynamodb() -> None:
    busy = Busy()
    store = DynamoStore(busy, prefix="shop-", patience_s=0.01)

    with pytest.raises(Throttled, match="after 1 attempts"):
        store.read([("view", [b"a"])])
    assert busy.asked == 1


def test_features_come_from_dynamodb_and_fallbacks_are_flagged_while_it_hangs_or_is_gone(
    fleet: Fleet, dynamodb: subprocess.Popen
) -> None:
    assert ask(fleet) == ANNS
    assert "defaulted" not in logged(fleet)[-1]

    dynamodb.send_signal(signal.SIGSTOP)
    started = time.monotonic()
    assert [ask(fleet) for _ in range(8)] == [FALLEN_BACK] * 8
    assert time.monotonic() - started < 8 * 20, "five time limits, and not the deadline each time"
    last = logged(fleet)[-1]
    assert last["defaulted"] == LOOKED
    assert {name: last["features"][name] for name in LOOKED} == {name: [FALLBACK.get(name)] for name in LOOKED}
    until(lambda: level(fleet, "mlops_breaker_open") == 1)
    until(lambda: level(fleet, "mlops_lookups_defaulted_total") >= 8)

    dynamodb.send_signal(signal.SIGCONT)
    until(lambda: ask(fleet) == ANNS)
    assert "defaulted" not in logged(fleet)[-1]
    until(lambda: level(fleet, "mlops_breaker_open") == 0)

    dynamodb.kill()
    dynamodb.wait()
    assert ask(fleet) == FALLEN_BACK
    assert "fallbacks stand in" in (fleet.home / "stderr.txt").read_text()
