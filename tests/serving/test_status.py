"""What the status page says of states that a browser test would have to wait for."""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout import machine
from mlops_assets.rollout.evidence import Judged
from mlops_assets.rollout.heartbeat import Heartbeat, Recent, Serving
from mlops_assets.rollout.routing import Routed, Routing, routing_key
from mlops_assets.rollout.spec import RolloutSpec
from mlops_assets.rollout.state import Look, Route, Traffic
from mlops_assets.serving.app import create_app
from mlops_assets.serving.status.render import page
from mlops_assets.serving.status.view import Status, view
from tests.waiting import until

NOW = datetime(2013, 4, 1, tzinfo=UTC)
ONE, TWO = Route(1, "run1", "/models/1"), Route(2, "run2", "/models/2")
ALONE = Routing("churn", ONE, None, (Routed(4, ONE, NOW, "first version", "ada"),), generation=4)
EVIL = "<script>alert(1)</script>"


def beat(**facts: Any) -> Heartbeat:
    return Heartbeat(7, "http://test", 0.0, **facts)


def shown(*beats: Heartbeat, **routings: Routing) -> Status:
    return view(routings, beats, env="dev", url="http://test", now=NOW, wall=60.0)


FOLLOWED = {"churn": Serving(generation=4, version=1)}
BROKEN = {"churn": Serving(generation=4, version=1, load_error="CorruptArtifact: model.skops", failed_generation=5)}


@pytest.mark.parametrize(
    ("beats", "routings", "state", "said"),
    [
        ([beat(models=FOLLOWED)], {"churn": ALONE}, "well", "✓ answering"),
        ([beat(models=BROKEN)], {"churn": ALONE}, "failing", "CorruptArtifact: model.skops"),
        ([beat(models=FOLLOWED), beat()], {"churn": ALONE}, "loading", "! loading a version"),
        ([beat(models=FOLLOWED), beat(models=FOLLOWED, is_draining=True)], {"churn": ALONE}, "well", "stopping"),
        ([beat(models=FOLLOWED, is_draining=True)], {"churn": ALONE}, "draining", "! stopping"),
        ([beat()], {}, "empty", "mlops promote MODEL VERSION"),
        ([beat(models=FOLLOWED, workers=3)], {"churn": ALONE}, "well", "2 workers being started again"),
        ([beat(models=FOLLOWED)], {"churn": replace(ALONE, generation=6)}, "well", "generation 6, workers at 4"),
        ([beat(models={"churn": Serving(load_error="unreadable")})], {}, "failing", "unreadable"),
        ([beat(models=FOLLOWED, counters={"log_shed": 3})], {"churn": ALONE}, "well", "Log lines shed"),
    ],
    ids=["well", "broken", "loading", "one stops", "all stop", "empty", "missing", "behind", "unread", "losses"],
)
def test_the_page_names_the_state_of_the_server(
    beats: list[Heartbeat], routings: dict[str, Routing], state: str, said: str
) -> None:
    status = shown(*beats, **routings)

    assert status.state == state
    assert said in page(status).decode()


def test_the_last_minute_of_all_workers_is_added_up() -> None:
    minute = Recent("churn", 1, "champion", 3, 1, 0.5, 0.9, {10: 3})
    [model] = shown(
        beat(models=FOLLOWED, recent=(minute,)), beat(models=FOLLOWED, recent=(minute,)), churn=ALONE
    ).models

    assert (model.arms[0].recent.requests, model.arms[0].recent.errors) == (6, 2)


def arms(routing: Routing, *served: Serving) -> list[tuple[str, int, int, float]]:
    [model] = shown(*(beat(models={"churn": one}) for one in served), churn=routing).models
    return [(arm.variant, arm.routed, arm.version, arm.share) for arm in model.arms]


def both(share: float, *, is_shadow: bool = False) -> Routing:
    return replace(ALONE, generation=5, challenger=Traffic(TWO, "churn-2-1/0", share, "salt", is_shadow=is_shadow))


def test_the_arms_are_those_that_answer() -> None:
    loaded, alone = (
        Serving(generation=5, version=1, challenger=2),
        Serving(generation=5, version=1, load_error="broken"),
    )

    assert arms(both(0.25), loaded) == [("champion", 1, 1, 0.75), ("challenger", 2, 2, 0.25)]
    assert arms(both(0.25, is_shadow=True), loaded) == [("champion", 1, 1, 1.0), ("challenger", 2, 2, 0.0)]
    assert arms(both(0.25), alone) == [("champion", 1, 1, 1.0), ("challenger", 2, 0, 0.0)], "it is not loaded"


def test_a_former_version_that_goes_on_answering_is_shown_with_what_it_does() -> None:
    routing = replace(ALONE, champion=TWO, generation=5)
    former = Serving(generation=4, version=1, load_error="broken", failed_generation=5)
    minute = Recent("churn", 1, "champion", 3, 0, 0.5, 0.9, {10: 3})
    status = shown(beat(models={"churn": former}, recent=(minute,)), beat(), churn=routing)

    [arm] = status.models[0].arms
    assert (arm.routed, arm.version, arm.recent.requests) == (2, 1, 3)
    assert "version 1</b><b class=bad>in place of version 2</b>" in page(status).decode()
    assert arms(routing, former, Serving(generation=5, version=2)) == [("champion", 2, 1, 1.0)], "the one behind"
    assert "version 2</b><b class=bad>not loaded</b>" in page(shown(beat(), churn=routing)).decode()


def test_no_text_becomes_html() -> None:
    spec = RolloutSpec.model_validate({"steps": [50, 100]})
    begun = machine.begin(EVIL, ONE, TWO, spec, number=1, now=NOW, why=EVIL, who=EVIL)
    rollout = replace(begun, looks=(Look(0, 50.0, NOW, NOW, 10, (Judged(EVIL, "fail", 0.3, 0.2, EVIL),)),))
    history = (Routed(4, ONE, NOW, EVIL, EVIL),)
    routing = replace(ALONE, model=EVIL, history=history, rollout=rollout, challenger=machine.traffic(rollout))
    serving = Serving(generation=4, version=1, load_error=EVIL, rung=EVIL, challenger=2, challenger_rung=EVIL)
    status = view({EVIL: routing}, [beat(models={EVIL: serving})], env=EVIL, url=EVIL, now=NOW, wall=60.0)

    text = page(status).decode()
    assert text.count("<script>") == 1, "the page's own"
    shown_texts = 5 + 2 + 5 + 2  # title, place and name; rungs; rollout with its evidence; history
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == shown_texts


@pytest.fixture
def client(tmp_path: Path, state: LocalState, deploy: Any) -> Iterator[TestClient]:
    deploy(1)
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test")) as client:
        yield client


def test_the_page_allows_its_own_script_and_style_and_nothing_else(client: TestClient) -> None:
    response = client.get("/")

    allowed = response.headers["content-security-policy"]
    for tag in ("script", "style"):
        [own] = re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
        assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'" in allowed
    assert allowed.startswith("default-src 'none';")
    assert "unsafe" not in allowed
    for one in (response, client.get("/status.json")):
        assert (one.headers["cache-control"], one.headers["x-content-type-options"]) == ("no-store", "nosniff")


def test_a_routing_that_cannot_be_read_or_is_away_leaves_the_page_and_says_so(
    client: TestClient, tmp_path: Path
) -> None:
    (tmp_path / "lake" / "dev" / f"{routing_key('churn')}.json").write_text("not json")
    text = until(lambda: "UnreadableState" in (found := client.get("/").text) and found)
    assert "Champion</span> version 1" in text

    (tmp_path / "lake").rename(tmp_path / "away")
    until(lambda: "NoLake" in client.get("/").text)
    assert client.get("/status.json").json()["status"]["models"][0]["generation"] == 1
