"""A rollout through everything: training, a real server with requests, looks by Dagster; a good, a wrong and a broken version."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from shop.deployment import JOB, Shop, value
from shop.location import make_location

from mlops_assets.assets.binding import VERDICT
from mlops_assets.evaluation.verdict import Approved
from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import known_card
from mlops_assets.registry.register import register_approved
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.heartbeat import live_servers
from mlops_assets.rollout.promotion import bring
from mlops_assets.rollout.rollouts import act
from mlops_assets.rollout.routing import Routing, read_routing
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.settings import load_settings
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]
ROOT = Path(__file__).parents[2]
MODEL = "returns"
PLAN = {
    "steps": ["shadow", 40, 100],
    "assign_by": ["customer"],
    "bake_minutes": 0,
    "min_requests": 80,
    "metrics": {"latency_p99": None},  # beside other tests, one arm may be slow for a while
}
STRONG, WEAK = "{n_estimators: 40, max_depth: 3}", "{n_estimators: 1, max_depth: 1}"
REQUESTS = 260  # a shift is judged on 200 rows


@dataclass
class Traffic:
    """A running `mlops serve`, and customers who ask it."""

    shop: Shop
    url: str = ""
    answers: list[dict] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def start(self) -> None:
        command = [sys.executable, "-m", "mlops_assets.cli.app", "serve", "--port", "0"]
        with (self.shop.home / "server.log").open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split(" on ")[1].split()[0]
        until(lambda: live_servers(self.shop.home, env="dev"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def follow(self) -> None:
        """Wait until the server has the newest traffic."""
        newest = routing_of(self.shop).history[-1].generation

        def has_followed() -> bool:
            (beat,) = live_servers(self.shop.home, env="dev")
            return beat.models[MODEL].generation >= newest

        until(has_followed, why=(self.shop.home / "server.log").read_text)

    def send(self, count: int = REQUESTS) -> list[dict]:
        """Send requests, each of which is answered, and wait for the shadow."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        replies = []
        for _ in range(count):
            amount, channel = float(self.rng.lognormal(3.5, 0.6)), str(self.rng.choice(["app", "web", "store"]))
            order = {
                "amount": amount,
                "channel": channel,
                "mean_amount": amount,
                "customer": f"c{self.rng.integers(400)}",
            }
            body = json.dumps({"dataframe_records": [order]})
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            assert response.status == 200, text
            replies.append({**order, **json.loads(text)})
        self.answers += replies
        return replies


@pytest.fixture
def traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Traffic]:
    """Return a server that answers with version 1 of a shop whose file has steps."""
    monkeypatch.setenv("SHOP_REQUESTS_BREAK", str(tmp_path / "break"))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    for location in make_location(tmp_path, monkeypatch):
        shop = location.shop
        edit(shop, STRONG, WEAK)
        edit(shop, "retraining:", f"rollout: {json.dumps(PLAN)}\n  retraining:")
        shop.deploy()
        traffic = Traffic(shop)
        traffic.start()
        yield traffic
        traffic.kill()


def edit(shop: Shop, before: str, after: str) -> None:
    file = shop.defs / MODEL / "defs.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    shop.reload()


def routing_of(shop: Shop) -> Routing:
    return read_routing(open_state(shop.lake), MODEL)[0]


def bring_copy(shop: Shop) -> int:
    """Register the champion once more, and begin its rollout; return the version."""
    settings, state = load_settings(), open_state(shop.lake)
    registry, now = MlflowRegistry(settings.mlflow_uri, settings.env), shop.replay.clock.now()
    card = known_card(state, MODEL, routing_of(shop).champion.version)
    saved = Path(card.artifact_uri)
    folder = shutil.copytree(saved.parent, shop.home / "copied") / saved.name
    verdict = Approved(candidate_id="copy", criteria=(), notes=(), candidate_sha256=card.sha256, evaluated_at=now)
    copied = register_approved(
        registry, state, verdict, model=MODEL, artifact_uri=str(folder), lineage=card.lineage, approval="auto", now=now
    )
    spec = RolloutSpec.model_validate(PLAN)
    bring(state, MODEL, copied.version, spec, who="", now=now, reason="the same once more")
    return copied.version


def look(traffic: Traffic) -> str:
    """Let a minute pass and the sensor ask for its look; return the phase that it led to."""
    replay = traffic.shop.replay
    replay.clock.set(replay.clock.now() + timedelta(minutes=1))
    runs = replay.tick("rollouts")
    assert len(runs) == 1
    assert all(run.success for run in runs)
    return str(value(runs[0], "rollout", "phase"))


def arms(replies: list[dict]) -> Counter[int]:
    return Counter(reply["version"] for reply in replies)


def test_a_good_version_is_promoted_a_wrong_one_rolled_back_and_one_that_breaks_taken_out_by_the_server(
    traffic: Traffic, tmp_path: Path
) -> None:
    expect_a_good_version_to_come_to_all_traffic(traffic)
    expect_a_wrong_version_to_end_in_the_shadow(traffic)
    expect_a_broken_version_to_be_taken_out_by_the_server(traffic, tmp_path / "break")


def expect_a_good_version_to_come_to_all_traffic(traffic: Traffic) -> None:
    assert bring_copy(traffic.shop) == 2
    traffic.follow()
    assert arms(traffic.send()) == {1: REQUESTS}, "nobody is answered by the shadow"
    until(lambda: shadowed(traffic.shop) == REQUESTS)
    assert look(traffic) == "running"

    traffic.follow()
    before = traffic.send()
    assert set(arms(before)) == {1, 2}
    traffic.kill()  # in the middle of a rollout
    traffic.start()
    traffic.follow()
    assert dict(sides(before)).items() <= dict(sides(before + traffic.send())).items(), "a customer changed sides"
    assert look(traffic) == "running"

    traffic.follow()
    assert arms(traffic.send()) == {2: REQUESTS}
    assert look(traffic) == "promoted"
    routing = routing_of(traffic.shop)
    assert (routing.champion.version, routing.previous.version, routing.challenger) == (2, 1, None)


def shadowed(shop: Shop) -> int:
    """Return how many requests of the current step the shadow has scored."""
    label = routing_of(shop).challenger.label
    files = (shop.home / "capture" / "dev").rglob("*.jsonl*")
    return sum(label in line and '-shadow"' in line for file in files for line in file.read_text().splitlines())


def sides(replies: list[dict]) -> dict[str, int]:
    """Return the version that each customer was answered by, the same every time."""
    found: dict[str, int] = {}
    for reply in replies:
        assert found.setdefault(reply["customer"], reply["version"]) == reply["version"]
    return found


def expect_a_wrong_version_to_end_in_the_shadow(traffic: Traffic) -> None:
    """The label is turned around upstream: the gate, which judges by the same labels, lets the version pass."""
    shutil.copy(ROOT / "tests" / "shop" / "fragile.py", traffic.shop.defs / MODEL / "request.py")
    edit(traffic.shop, "inputs: [amount, channel]", "inputs: [amount, channel], file: request.py")
    edit(traffic.shop, WEAK, STRONG)
    edit(traffic.shop, "returned::int as label", "(not returned)::int as label")
    run = traffic.shop.replay.run(JOB)
    assert traffic.shop.replay.instance.get_run_by_id(run.run_id).tags[VERDICT] == "waiting"
    assert routing_of(traffic.shop).rollout.challenger.version == 3
    traffic.follow()

    assert arms(traffic.send()) == {2: REQUESTS}
    until(lambda: shadowed(traffic.shop) == REQUESTS)
    assert [look(traffic), look(traffic)] == ["running", "rolled_back"]

    assert routing_of(traffic.shop).champion.version == 2
    assert "PSI" in routing_of(traffic.shop).rollout.actions[-1].why


def expect_a_broken_version_to_be_taken_out_by_the_server(traffic: Traffic, breaks: Path) -> None:
    """Tried once more at a person's word, it fails on every request from some moment on; no caller ever notices."""
    shop, state = traffic.shop, open_state(traffic.shop.lake)
    now, spec = shop.replay.clock.now(), RolloutSpec.model_validate(PLAN)
    bring(state, MODEL, 3, spec, who="ann", now=now, reason="a drill")
    for word in ("pause", "promote"):
        act(state, MODEL, word, who="ann", why="a drill", now=now)
    traffic.follow()
    assert set(arms(traffic.send(60))) == {2, 3}

    breaks.touch()
    assert arms(traffic.send(100)) == {2: 100}
    until(lambda: not routing_of(shop).rollout.is_active)

    before = routing_of(shop)
    assert (before.rollout.id, before.rollout.phase, before.rollout.actions[-1].who) == (
        "returns-3-2",
        "rolled_back",
        "server",
    )
    assert (before.champion.version, before.challenger) == (2, None)
    (recorded,) = shop.replay.tick("rollouts")
    assert value(recorded, "rollout", "phase") == "rolled_back"
    after = routing_of(shop)
    assert (after.rollout, after.history, after.challenger) == (before.rollout, before.history, before.challenger)
    assert shop.replay.tick("rollouts") == []
