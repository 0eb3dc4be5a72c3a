"""Following the routing: a new version takes over, a broken one never does."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from serving.conftest import save_model

from mlops_assets.lake.state import LocalState, NoLake
from mlops_assets.rollout.heartbeat import Serving
from mlops_assets.rollout.routing import Routing, read_routing, routing_key
from mlops_assets.rollout.state import Route, Traffic
from mlops_assets.rollout.traffic import change_routing, give_all_traffic, restore_previous
from mlops_assets.serving import models
from mlops_assets.serving.models import LoadedModels

Deploy = Callable[..., int]
RUNG = "flat+onnx"
NOW = datetime(2013, 4, 2, tzinfo=UTC)


@pytest.fixture
def loaded(state: LocalState) -> LoadedModels:
    return LoadedModels(state)


def score(loaded: LoadedModels) -> float:
    return loaded.served["churn"].champion.score([{}], until=0).predictions[0]


def spoil_file(folder: Path) -> None:
    (folder / "model.skops").write_bytes(b"junk")


SPOILS = {
    "corrupt": (spoil_file, "file model.skops: found sha256"),
    "missing": (shutil.rmtree, "file manifest.json: found no such file"),
    "half written": (lambda folder: (folder / "manifest.json").unlink(), "file manifest.json: found no such file"),
    "garbage": (lambda folder: (folder / "manifest.json").write_text("{}"), "file manifest.json: found"),
    "request gone": (lambda folder: (folder / "request.py").unlink(), "file request.py: found no such file"),
}


def test_a_new_version_takes_over(loaded: LoadedModels, deploy: Deploy) -> None:
    for version in (1, 2):
        deploy(version)
        loaded.follow()

        assert score(loaded) == version
        assert loaded.report() == {"churn": Serving(generation=version, version=version, rung=RUNG)}


@pytest.mark.parametrize(("spoil", "message"), SPOILS.values(), ids=SPOILS)
def test_a_version_that_cannot_be_loaded_leaves_the_former_one_answering(
    loaded: LoadedModels, deploy: Deploy, spoil: Callable[[Path], object], message: str
) -> None:
    deploy(1)
    loaded.follow()
    deploy(2, spoil=spoil)
    loaded.follow()

    serving = loaded.report()["churn"]
    assert score(loaded) == 1
    assert (serving.generation, serving.version, serving.failed_generation) == (1, 1, 2)
    assert message in (serving.load_error or "")


def test_a_server_that_starts_on_a_broken_version_answers_with_the_one_before_as_the_others_do(
    loaded: LoadedModels, deploy: Deploy, state: LocalState
) -> None:
    deploy(1)
    deploy(2)
    deploy(3, spoil=spoil_file)
    loaded.follow()

    serving = loaded.report()["churn"]
    assert score(loaded) == 2
    assert (serving.generation, serving.version, serving.failed_generation) == (2, 2, 3)
    assert "model.skops" in (serving.load_error or "")

    deploy(4)
    loaded.follow()
    assert loaded.report() == {"churn": Serving(generation=4, version=4, rung=RUNG)}


def test_where_the_version_before_is_broken_too_the_error_is_that_of_the_champion(
    loaded: LoadedModels, deploy: Deploy
) -> None:
    deploy(1, spoil=shutil.rmtree)
    deploy(2, spoil=spoil_file)
    loaded.follow()

    assert loaded.report()["churn"].version == 0
    assert "model.skops" in (loaded.report()["churn"].load_error or "")


def test_a_version_that_is_mended_is_taken_after_a_while(
    loaded: LoadedModels, deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(1)
    loaded.follow()
    away = tmp_path / "away"
    deploy(2, spoil=lambda folder: shutil.move(folder, away))
    loaded.follow()
    shutil.move(away, tmp_path / "models" / "churn" / "2")

    loaded.follow()
    assert score(loaded) == 1, "it is not tried again at once"
    later = time.monotonic() + models.RETRY_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    loaded.follow()

    assert score(loaded) == 2
    assert loaded.report() == {"churn": Serving(generation=2, version=2, rung=RUNG)}


def test_the_version_after_a_broken_one_is_taken_at_once(loaded: LoadedModels, deploy: Deploy) -> None:
    deploy(1)
    loaded.follow()
    deploy(2, spoil=spoil_file)
    loaded.follow()
    deploy(3)
    loaded.follow()

    assert loaded.report() == {"churn": Serving(generation=3, version=3, rung=RUNG)}


def test_going_back_from_a_broken_version_needs_no_load(
    loaded: LoadedModels, deploy: Deploy, state: LocalState
) -> None:
    deploy(1)
    loaded.follow()
    first = loaded.served["churn"].champion
    deploy(2, spoil=spoil_file)
    loaded.follow()
    restore_previous(state, "churn", now=NOW, reason="broken")
    loaded.follow()

    assert loaded.served["churn"].champion is first
    assert loaded.report() == {"churn": Serving(generation=3, version=1, rung=RUNG)}


def test_what_a_request_holds_does_not_change_under_it(loaded: LoadedModels, deploy: Deploy) -> None:
    deploy(1)
    loaded.follow()
    held, held_all = loaded.served["churn"], loaded.served
    deploy(2)
    loaded.follow()

    assert held.champion.score([{}], until=0).predictions == [1.0]
    assert held_all["churn"] is held
    with pytest.raises(TypeError):
        held_all["churn"] = held  # pyright: ignore[reportIndexIssue]


def test_nothing_is_loaded_while_the_routing_stands(loaded: LoadedModels, deploy: Deploy) -> None:
    deploy(1)
    loaded.follow()
    before = loaded.served["churn"]
    loaded.follow()

    assert loaded.served["churn"] is before


def test_an_unreadable_routing_leaves_the_version_answering(
    loaded: LoadedModels, deploy: Deploy, state: LocalState, tmp_path: Path
) -> None:
    deploy(1)
    loaded.follow()
    (tmp_path / "lake" / "dev" / f"{routing_key('churn')}.json").write_text("not json")
    loaded.follow()

    assert score(loaded) == 1
    assert "UnreadableState" in (loaded.report()["churn"].load_error or "")


def test_one_broken_model_does_not_stop_the_others(loaded: LoadedModels, deploy: Deploy) -> None:
    deploy(1, model="a_broken", spoil=spoil_file)
    deploy(1)
    loaded.follow()

    assert score(loaded) == 1
    assert loaded.report()["a_broken"].version == 0


def test_a_model_whose_routing_is_removed_is_no_longer_served(
    loaded: LoadedModels, deploy: Deploy, state: LocalState, tmp_path: Path
) -> None:
    deploy(1)
    loaded.follow()
    shutil.rmtree(tmp_path / "lake" / "dev" / "routing")
    loaded.follow()

    assert loaded.report() == {}
    assert loaded.routings == {}
    assert read_routing(state, "churn") is None


def test_a_store_that_is_away_takes_nothing_and_every_model_says_so(
    loaded: LoadedModels, deploy: Deploy, tmp_path: Path
) -> None:
    deploy(1)
    loaded.follow()
    (tmp_path / "lake").rename(tmp_path / "away")
    with pytest.raises(NoLake):
        loaded.follow()

    assert score(loaded) == 1
    assert loaded.routings["churn"].champion.version == 1
    assert "NoLake" in (loaded.report()["churn"].load_error or "")

    (tmp_path / "away").rename(tmp_path / "lake")
    loaded.follow()
    assert loaded.report()["churn"].load_error is None


def test_what_cannot_be_loaded_is_logged_once_and_again_when_it_changes(
    loaded: LoadedModels, deploy: Deploy, state: LocalState, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deploy(1)
    loaded.follow()
    path = tmp_path / "lake" / "dev" / f"{routing_key('churn')}.json"
    for content in ("not json", "not json", "not json either"):
        path.write_text(content)
        loaded.follow()

    assert [record.message.split("found ")[1][:2] for record in caplog.records] == ["8 ", "15"]


def begin(state: LocalState, tmp_path: Path, version: int, *, share: float = 0.25, broken: bool = False) -> int:
    """Give a version a share of the traffic, as a rollout does; return the generation."""
    folder = save_model(tmp_path / "models" / "churn" / str(version), intercept=version)
    if broken:
        spoil_file(folder)
    traffic = Traffic(Route(version, f"run{version}", str(folder)), f"churn-{version}/1", share, "salt", ("customer",))

    def change(routing: Routing | None) -> Routing:
        assert routing is not None
        return replace(routing, challenger=traffic)

    return change_routing(state, "churn", change, now=NOW, reason="test").generation


def test_both_arms_of_a_rollout_are_loaded_and_the_champion_is_not_loaded_again(
    loaded: LoadedModels, deploy: Deploy, state: LocalState, tmp_path: Path
) -> None:
    deploy(1)
    loaded.follow()
    champion = loaded.served["churn"].champion
    generation = begin(state, tmp_path, 2)
    loaded.follow()

    served = loaded.served["churn"]
    assert served.champion is champion
    assert served.challenger is not None
    assert served.challenger.score([{}], until=0).predictions == [2]
    assert served.traffic is not None
    assert (served.traffic.share, served.columns["customer"]) == (0.25, "any")
    report = Serving(generation=generation, version=1, rung=RUNG, challenger=2, challenger_rung=RUNG)
    assert loaded.report() == {"churn": report}

    more = begin(state, tmp_path, 2, share=0.5)
    loaded.follow()
    assert (loaded.served["churn"].generation, loaded.served["churn"].challenger) == (more, served.challenger)


def test_a_challenger_that_cannot_be_loaded_leaves_the_champion_with_all_traffic(
    loaded: LoadedModels, deploy: Deploy, state: LocalState, tmp_path: Path
) -> None:
    deploy(1)
    begin(state, tmp_path, 2)
    loaded.follow()
    generation = begin(state, tmp_path, 3, broken=True)
    loaded.follow()

    served, serving = loaded.served["churn"], loaded.report()["churn"]
    assert (served.champion.route.version, served.challenger, served.traffic) == (1, None, None)
    assert score(loaded) == 1
    assert (serving.version, serving.challenger, serving.failed_generation) == (1, 0, generation)
    assert "CorruptArtifact" in (serving.load_error or "")


def test_a_champion_that_cannot_be_loaded_leaves_both_arms_as_they_were(
    loaded: LoadedModels, deploy: Deploy, state: LocalState, tmp_path: Path
) -> None:
    deploy(1)
    begin(state, tmp_path, 2)
    loaded.follow()
    before = loaded.served["churn"]
    deploy(3, spoil=spoil_file)
    loaded.follow()

    assert loaded.served["churn"] is before
    assert loaded.report()["churn"].failed_generation == before.generation + 1


def test_neither_promotion_nor_going_back_loads_anything(
    loaded: LoadedModels, deploy: Deploy, state: LocalState, tmp_path: Path
) -> None:
    deploy(1)
    begin(state, tmp_path, 2)
    loaded.follow()
    first, second = loaded.served["churn"].champion, loaded.served["churn"].challenger
    stored = read_routing(state, "churn")
    assert stored is not None
    assert stored[0].challenger is not None
    give_all_traffic(state, "churn", stored[0].challenger.route, now=NOW, reason="promoted")
    loaded.follow()
    assert loaded.served["churn"].champion is second
    shutil.rmtree(tmp_path / "models")
    restore_previous(state, "churn", now=NOW, reason="back")
    loaded.follow()

    assert loaded.served["churn"].champion is first
    assert loaded.report()["churn"].load_error is None
