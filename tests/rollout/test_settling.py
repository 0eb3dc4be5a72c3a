"""After traffic has moved: what the running servers make of it."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.errors import ServerRefused
from mlops_assets.rollout.heartbeat import Heartbeat, Serving, write_heartbeat
from mlops_assets.rollout.routing import Route, read_routing
from mlops_assets.rollout.settling import settle
from mlops_assets.rollout.traffic import give_all_traffic, restore_previous

NOW = datetime(2024, 5, 1, tzinfo=UTC)
SILENT = MlflowRegistry("http://127.0.0.1:9", "dev", 0.1)


def deploy(state: LocalState, *versions: int) -> int:
    return [
        give_all_traffic(state, "churn", Route(one, f"c{one}", f"/m/{one}"), now=NOW, reason="go", who="ann")
        for one in versions
    ][-1]


def serve(home: Path, serving: Serving) -> None:
    write_heartbeat(home, Heartbeat(os.getpid(), "http://here", time.time(), {"churn": serving}), env="dev")


def settled(state: LocalState, home: Path, generation: int) -> dict[str, object]:
    return settle(SILENT, state, "churn", generation, home=home, env="dev", now=NOW, timeout_s=0)


def test_a_server_that_answers_is_named_and_mlflow_that_is_down_is_told(tmp_path: Path) -> None:
    state = LocalState(str(tmp_path / "state"))
    generation = deploy(state, 1, 2)
    serve(tmp_path, Serving(generation, 2))

    shown = settled(state, tmp_path, generation)

    assert (shown["version"], shown["servers"], shown["routed_by"]) == (2, "loaded by http://here", "ann")
    assert str(shown["aliases"]).startswith("MLflow's aliases are behind")


def test_a_version_that_a_server_cannot_load_gives_the_traffic_back(tmp_path: Path) -> None:
    state = LocalState(str(tmp_path / "state"))
    generation = deploy(state, 1, 2)
    serve(tmp_path, Serving(1, 1, "broken", generation))

    with pytest.raises(ServerRefused, match="found broken"):
        settled(state, tmp_path, generation)
    assert read_routing(state, "churn")[0].champion.version == 1


def test_a_newer_version_stays_when_an_older_one_could_not_be_loaded(tmp_path: Path) -> None:
    state = LocalState(str(tmp_path / "state"))
    generation = deploy(state, 1, 2)
    deploy(state, 3)
    serve(tmp_path, Serving(1, 1, "broken", generation))

    with pytest.raises(ServerRefused):
        settled(state, tmp_path, generation)
    assert read_routing(state, "churn")[0].champion.version == 3


def test_a_rollback_that_a_server_cannot_load_says_so(tmp_path: Path) -> None:
    state = LocalState(str(tmp_path / "state"))
    deploy(state, 1, 2)
    generation = restore_previous(state, "churn", now=NOW, reason="errors")
    serve(tmp_path, Serving(2, 2, "broken", generation))

    with pytest.raises(ServerRefused, match="the version routed now, on http://here"):
        settled(state, tmp_path, generation)
