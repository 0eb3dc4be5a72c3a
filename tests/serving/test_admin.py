"""The routes of a person at the controls, in process; over two ports and with a rollout: `test_controls.py`."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.routing import Routing, read_routing, routing_key
from mlops_assets.rollout.traffic import change_routing
from mlops_assets.serving.app import create_app
from mlops_assets.serving.keys import create_key
from mlops_assets.serving.options import ServerOptions
from tests.serving.arms import NOW, change_traffic, route_both

PATH = "/admin/models/churn/fall-back"
WISH = {"who": "ada", "reason": "complaints"}


def experiment(state: LocalState) -> None:
    """Give a challenger traffic without a rollout, as an experiment does."""
    route_both(state, share=0.5)

    def without_rollout(routing: Routing | None) -> Routing:
        assert routing is not None
        return replace(routing, rollout=None)

    change_routing(state, "churn", without_rollout, now=NOW, reason="test")


@pytest.fixture
def client(tmp_path: Path, state: LocalState) -> Iterator[TestClient]:
    experiment(state)
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test")) as client:
        yield client


def test_a_challenger_without_a_rollout_is_taken_out_once(client: TestClient, state: LocalState) -> None:
    fallen, again = client.post(PATH, json=WISH), client.post(PATH, json=WISH)

    stored = read_routing(state, "churn")
    assert stored is not None
    assert stored[0].challenger is None
    assert (stored[0].history[-1].who, stored[0].history[-1].reason) == ("ada", "complaints")
    assert fallen.json() == {"model": "churn", "version": 1, "generation": stored[1]}
    assert client.get("/models").json()["churn"]["generation"] == stored[1], "this worker follows at once"
    assert (again.status_code, again.json()["title"]) == (409, "nothing to fall back from")


@dataclass(frozen=True)
class Contended(LocalState):
    """Somebody else changes the traffic before the second look."""

    looks: list[str] = field(default_factory=list[str])

    def read(self, key: str) -> tuple[dict[str, Any], int] | None:
        self.looks.append(key)
        if len(self.looks) == 2:
            change_traffic(LocalState(self.root), share=0.6)
        return super().read(key)


def test_a_change_by_somebody_else_meanwhile_does_not_keep_the_challenger_in(tmp_path: Path, state: LocalState) -> None:
    experiment(state)
    contended = Contended(state.root)
    app = create_app(contended, tmp_path, env="dev", url="http://test")
    client = TestClient(app)  # without its lifespan: nobody else reads

    fallen = client.post(PATH, json=WISH)

    stored = read_routing(state, "churn")
    assert stored is not None
    assert [entry.challenger and entry.challenger.share for entry in stored[0].history] == [0.5, 0.6, None]
    assert (fallen.status_code, fallen.json()["generation"]) == (200, stored[1])


@pytest.mark.parametrize(
    ("content", "status", "found"),
    [
        (b"", 400, "truncated"),
        (b"{", 400, "truncated"),
        (b"\xff", 400, ""),
        (b"[]", 422, "Expected `object`"),
        (b'{"who": "", "reason": "x"}', 422, "$.who"),
        (b'{"who": "a", "reason": "x", "more": 1}', 422, "unknown field"),
        (b'{"who": "a", "reason": "' + b"x" * 2001 + b'"}', 422, "$.reason"),
        (b'{"who": "a", "reason": "' + b"x" * 100_000 + b'"}', 413, "more than 32768 bytes"),
    ],
)
def test_a_wish_without_who_and_why_is_refused(client: TestClient, content: bytes, status: int, found: str) -> None:
    refused = client.post(PATH, content=content)

    assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
    assert found in refused.json()["found"]


def test_a_routing_that_cannot_be_read_is_503_with_what_to_do(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "lake" / "dev" / f"{routing_key('churn')}.json").write_text("not json")

    refused = client.post(PATH, json=WISH)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["field"] == "State routing/churn"
    assert "restore the file from a backup" in refused.json()["remedy"]


def test_a_stranger_is_told_how_to_come_in(tmp_path: Path, state: LocalState) -> None:
    keys = tmp_path / "keys.json"
    admin = create_key(keys, "ops", "admin", now=datetime.now(UTC))
    options = ServerOptions(keys_file=str(keys))
    with TestClient(create_app(state, tmp_path, env="dev", url="http://test", options=options)) as client:
        stranger = client.get("/admin/workers")
        known = client.get("/admin/workers", headers={"Authorization": f"Bearer {admin}"})
        elsewhere = client.get("/admin/workers", headers={"X-API-Key": admin, "Sec-Fetch-Site": "same-site"})
        paths = client.get("/openapi.json").json()["paths"]

    assert (stranger.status_code, stranger.headers["www-authenticate"]) == (401, "Bearer")
    assert (known.status_code, elsewhere.status_code) == (200, 403)
    assert paths["/admin/workers"]["get"]["security"] == [{"bearer": []}, {"key": []}]
    assert "security" not in paths["/metrics"]["get"]
