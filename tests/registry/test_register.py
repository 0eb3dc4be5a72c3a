"""Nothing enters the registry without an approved verdict for exactly that candidate and that saved model."""

import hashlib
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from mlops_assets.evaluation.verdict import Approved, Rejected, to_json
from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.registry.register import NotApproved, register_approved, register_run
from mlops_assets.training.tracking import TrackedRun

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def model(tmp_path):
    """What identifies a saved model is its manifest."""
    for name in ("candidate", "refit"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(f'{{"model": "{name}"}}')
    return tmp_path


def _sha256(model, name="candidate"):
    return hashlib.sha256((model / name / "manifest.json").read_bytes()).hexdigest()


def _verdict(kind, model, **changes):
    values = {
        "candidate_id": "c1",
        "criteria": (),
        "notes": (),
        "candidate_sha256": _sha256(model),
        "evaluated_at": NOW,
    }
    return kind(**{**values, **changes})


def _register(registry, verdict, model, *, candidate_id="c1", name="candidate"):
    return register_approved(
        registry,
        verdict,
        model="delay",
        candidate_id=candidate_id,
        artifact_uri=str(model / name),
        lineage={"training_set": "abc"},
    )


def test_an_approved_candidate_enters_as_challenger(memory_registry, model):
    version = _register(memory_registry, _verdict(Approved, model), model)
    assert version.artifact_uri == str(model / "candidate")
    assert version.tags["training_set"] == "abc"
    assert version.tags["mlops/sha256"] == _sha256(model)
    assert memory_registry.by_alias("delay", "challenger") == version
    assert memory_registry.by_alias("delay", "champion") is None


def test_a_second_time_changes_nothing(memory_registry, model):
    verdict = _verdict(Approved, model)
    assert _register(memory_registry, verdict, model) == _register(memory_registry, verdict, model)
    assert len(memory_registry.versions("delay")) == 1


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda _: None, "found no verdict"),
        (lambda model: _verdict(Rejected, model), "found rejected"),
        (lambda model: _verdict(Approved, model, candidate_id="c2"), "found a verdict on candidate c2"),
        (lambda model: _verdict(Approved, model, candidate_sha256="00"), "approved was 00"),
        (lambda model: _verdict(Approved, model, refit_sha256=_sha256(model, "refit")), "approved was"),
    ],
)
def test_anything_else_is_refused_and_leaves_no_trace(memory_registry, model, change, found):
    with pytest.raises(NotApproved, match=found) as error:
        _register(memory_registry, change(model), model)
    assert "delay: registration of candidate c1" in str(error.value)
    assert "Materialise `delay/evaluation`" in str(error.value)
    assert memory_registry.versions("delay") == []
    assert memory_registry.by_alias("delay", "challenger") is None


def test_a_model_that_was_swapped_after_its_approval_is_refused(memory_registry, model):
    verdict = _verdict(Approved, model)
    (model / "candidate" / "manifest.json").write_text("{}")
    with pytest.raises(NotApproved):
        _register(memory_registry, verdict, model)


def test_a_model_that_is_gone_is_refused(memory_registry, model):
    verdict = _verdict(Approved, model)
    (model / "candidate" / "manifest.json").unlink()
    with pytest.raises(CorruptArtifact):
        _register(memory_registry, verdict, model)


def _run(folder, verdict):
    """Return a run of which only the artefacts matter."""
    if verdict is not None:
        (folder / "verdict.json").write_bytes(to_json(verdict))
    return TrackedRun(cast(Any, None), "c1", str(folder), url="", started_ms=0)


@pytest.mark.parametrize(("refit", "artefact"), [(False, "candidate"), (True, "refit")])
def test_the_verdict_names_the_model_that_enters(memory_registry, model, refit, artefact):
    verdict = _verdict(Approved, model, refit_sha256=_sha256(model, "refit") if refit else None)
    version = register_run(memory_registry, _run(model, verdict), model="delay", lineage={})
    assert version.artifact_uri == str(model / artefact)


def test_a_run_without_approval_is_refused(memory_registry, model):
    for verdict in (
        None,
        _verdict(Rejected, model),
        msgspec.structs.replace(_verdict(Approved, model), candidate_id="x"),
    ):
        with pytest.raises(NotApproved):
            register_run(memory_registry, _run(model, verdict), model="delay", lineage={})
    assert memory_registry.versions("delay") == []
