"""Following the routing: a new version takes over, a broken one never does."""

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.rollout.heartbeat import Serving
from mlops_assets.rollout.routing import read_routing, restore_previous, routing_key
from mlops_assets.serving import models
from mlops_assets.serving.answer import answer
from mlops_assets.serving.models import LoadedModels

Deploy = Callable[..., int]
NOW = datetime(2013, 4, 2, tzinfo=UTC)


@pytest.fixture
def loaded(state: LocalState) -> LoadedModels:
    return LoadedModels(state)


def score(loaded: LoadedModels) -> float:
    return answer(loaded.served["churn"], b'{"instances": [{}]}').predictions[0]


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
        assert loaded.report() == {"churn": Serving(generation=version, version=version)}


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
    assert loaded.report() == {"churn": Serving(generation=2, version=2)}


def test_the_version_after_a_broken_one_is_taken_at_once(loaded: LoadedModels, deploy: Deploy) -> None:
    deploy(1)
    loaded.follow()
    deploy(2, spoil=spoil_file)
    loaded.follow()
    deploy(3)
    loaded.follow()

    assert loaded.report() == {"churn": Serving(generation=3, version=3)}


def test_going_back_from_a_broken_version_needs_no_load(
    loaded: LoadedModels, deploy: Deploy, state: LocalState
) -> None:
    deploy(1)
    loaded.follow()
    first = loaded.served["churn"].predictor
    deploy(2, spoil=spoil_file)
    loaded.follow()
    restore_previous(state, "churn", now=NOW, reason="broken")
    loaded.follow()

    assert loaded.served["churn"].predictor is first
    assert loaded.report() == {"churn": Serving(generation=3, version=1)}


def test_what_a_request_holds_does_not_change_under_it(loaded: LoadedModels, deploy: Deploy) -> None:
    deploy(1)
    loaded.follow()
    held, held_all = loaded.served["churn"], loaded.served
    deploy(2)
    loaded.follow()

    assert answer(held, b'{"instances": [{}]}').version == 1
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
    shutil.rmtree(tmp_path / "lake")
    loaded.follow()

    assert loaded.report() == {}
    assert read_routing(state, "churn") is None
