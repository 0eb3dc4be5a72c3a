"""A version with its lineage in another environment: whole or not there, and never with traffic that nobody gave it."""

import hashlib
from pathlib import Path

import pytest
from cli.version_world import NOW, World, mlops

from mlops_assets.cli.copying import SamePlace
from mlops_assets.lake.state import LocalState
from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.registry import copying
from mlops_assets.registry.copying import CopyDiffers, Place, copy_version
from mlops_assets.registry.errors import NotDeployable
from mlops_assets.registry.lifecycle import cards
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.routing import read_routing
from mlops_assets.training.tracking import open_tracking

MODEL = "flight_delay"  # `--to` reads `approval` from its file


def hashes(folder: str) -> dict[str, str]:
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def prod(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return the same deployment seen from another environment, with an MLflow of its own."""

    class Production(World):
        def __getattribute__(self, name):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MLOPS_ENV", "prod")
                patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{world.folder}/prod.db")
                return super().__getattribute__(name)

    return Production(world.folder)


def copy(reference: str, world: World, *options: str) -> str:
    return mlops("promote", reference, "--to", "prod", "--mlflow", f"sqlite:///{world.folder}/prod.db", *options)


def test_a_copy_has_the_files_and_the_lineage_and_no_traffic(world, prod):
    world.register("other", model=MODEL)
    source = world.train(model=MODEL)

    said = copy(f"{MODEL}@2", world)
    again = copy(f"{MODEL}@2", world)

    (card,) = cards(prod.state, MODEL)
    assert said == again == f"prod.{MODEL}: version 1 (approved) is dev.{MODEL}@2.\n"
    assert (card.version, card.candidate_id, card.sha256) == (1, source.candidate_id, source.sha256)
    assert card.copied_from == f"dev.{MODEL}@2"
    assert card.artifact_uri != source.artifact_uri
    run, copied = Path(source.artifact_uri).parent, Path(card.artifact_uri).parent
    assert hashes(run) == hashes(copied)
    assert {"candidate/manifest.json", "candidate/weights", "report.html"} <= hashes(copied).keys()
    ours, theirs = (one.lineage["mlops/training_set_uri"] for one in (source, card))
    assert "/prod/training_sets/" in theirs
    assert hashes(ours) == hashes(theirs)
    (version,) = prod.registry.versions(MODEL)
    assert version.tags["mlops/copied_from"] == f"dev.{MODEL}@2"
    assert version.tags["mlops/status"] == "approved"
    assert prod.aliases(MODEL) == {"challenger": 1}
    assert read_routing(prod.state, MODEL) is None
    assert version.run_id == card.run_id != source.run_id


def test_a_copy_may_take_traffic_at_once_and_be_copied_on(world, prod):
    source = world.train(model=MODEL)
    mlops("promote", MODEL, "1")

    copy(MODEL, world, "--deploy")

    assert prod.live(MODEL) == 1
    assert prod.aliases(MODEL) == {"champion": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_ENV", "prod")
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{world.folder}/prod.db")
        mlops("promote", MODEL, "--to", "mirror", "--lake", str(world.folder / "far"))
    (card,) = cards(LocalState(str(world.folder / "far" / "mirror")), MODEL)
    assert (card.copied_from, card.candidate_id) == (f"prod.{MODEL}@1", source.candidate_id)


def test_what_may_not_be_copied(world, prod):
    world.train(model=MODEL, approval="manual")
    with pytest.raises(NotDeployable, match="pending"):
        copy(f"{MODEL}@1", world)
    mlops("reject", MODEL, "1", "--reason", "no")
    with pytest.raises(NotDeployable, match="rejected"):
        copy(f"{MODEL}@1", world)
    damaged = world.train(model=MODEL)
    Path(damaged.artifact_uri, "weights").write_bytes(b"other")
    with pytest.raises(CorruptArtifact):
        copy(f"{MODEL}@2", world)
    with pytest.raises(SamePlace):
        mlops("promote", f"{MODEL}@2", "--to", "dev")
    assert (cards(prod.state, MODEL), prod.registry.versions(MODEL)) == ([], [])


class Killed(BaseException):
    """The process is gone."""


def place(world: World, env: str) -> Place:
    from mlops_assets.settings import load_settings

    settings = load_settings({"MLOPS_HOME": str(world.folder), "MLOPS_ENV": env})
    return Place(env, settings.lake, open_tracking(settings), MlflowRegistry(settings.mlflow_uri, env))


def test_a_copy_that_is_killed_at_any_write_leaves_no_version_and_is_completed_by_the_next(world, monkeypatch):
    card, source, target = world.train(), place(world, "dev"), place(world, "prod")
    writes = []

    def dying(uri: str, data: bytes) -> None:
        if not writes:
            raise Killed
        writes.pop()
        real(uri, data)

    real = copying.write_bytes
    monkeypatch.setattr(copying, "write_bytes", dying)
    for survived in (0, 1, 2, 1, 2):  # both files of the training set, which then is there, and the three of the run
        writes[:] = range(survived)
        with pytest.raises(Killed):
            copy_version(card, source, target, approval="auto", now=NOW)
        assert (cards(target.state, "delay"), target.registry.versions("delay")) == ([], [])
    monkeypatch.setattr(LocalState, "put_if_absent", lambda *_: (_ for _ in ()).throw(Killed))
    monkeypatch.setattr(copying, "write_bytes", real)
    with pytest.raises(Killed):
        copy_version(card, source, target, approval="auto", now=NOW)
    monkeypatch.undo()

    copied = copy_version(card, source, target, approval="manual", now=NOW)

    assert [version.version for version in target.registry.versions("delay")] == [copied.version] == [1]
    assert copied.status == "pending"
    assert hashes(Path(copied.artifact_uri).parent) == hashes(Path(card.artifact_uri).parent)
    assert target.tracking.open_run(copied.run_id).metrics() == {"test_roc_auc": 0.75}


def test_a_file_that_changes_on_its_way_is_noticed(world, monkeypatch):
    card, source, target = world.train(), place(world, "dev"), place(world, "prod")
    real = copying.write_bytes
    monkeypatch.setattr(copying, "write_bytes", lambda uri, data: real(uri, data.replace(b"fine", b"fire")))

    with pytest.raises(CopyDiffers, match=r"report.html: found other bytes"):
        copy_version(card, source, target, approval="auto", now=NOW)
    assert cards(target.state, "delay") == []
