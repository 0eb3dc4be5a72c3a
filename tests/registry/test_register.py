"""Nothing enters the registry without an approved verdict for exactly that candidate and that saved model."""

import dataclasses
import hashlib
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from mlops_assets.evaluation.verdict import Approved, Rejected, to_json
from mlops_assets.features.labels import LabelCounts
from mlops_assets.features.training_set import Manifest, ViewVersion, encode_manifest
from mlops_assets.lake.state import LocalState
from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.registry.lifecycle import cards, read_card
from mlops_assets.registry.lineage import lineage_of
from mlops_assets.registry.register import (
    NotApproved,
    NotRegistered,
    approved,
    card_of,
    register_approved,
    register_run,
)
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


def _register(registry, state, verdict, model, *, name="candidate", approval="auto"):
    return register_approved(
        registry,
        state,
        approved(verdict, model="delay", candidate_id="c1"),
        model="delay",
        artifact_uri=str(model / name),
        lineage={"mlops/training_set": "abc"},
        approval=approval,
        now=NOW,
    )


@pytest.mark.parametrize(("approval", "status", "decided"), [("auto", "approved", 1), ("manual", "pending", 0)])
def test_an_approved_candidate_enters_with_its_card(memory_registry, state, model, approval, status, decided):
    card = _register(memory_registry, state, _verdict(Approved, model), model, approval=approval)
    assert card == read_card(state, "delay", 1) == card_of(state, "delay", candidate_id="c1")
    assert (card.artifact_uri, card.sha256) == (str(model / "candidate"), _sha256(model))
    assert (card.status, len(card.decisions)) == (status, decided)
    assert card.lineage == {"mlops/training_set": "abc"}
    (version,) = memory_registry.versions("delay")
    assert (version.version, version.candidate_id, version.run_id) == (1, "c1", "c1")
    assert version.tags["mlops/training_set"] == "abc"


def test_a_candidate_without_a_version(state):
    with pytest.raises(NotRegistered, match="candidate b: found none"):
        card_of(state, "delay", candidate_id="b")


def test_a_second_time_changes_nothing(memory_registry, state, model):
    verdict = _verdict(Approved, model)
    first = _register(memory_registry, state, verdict, model, approval="manual")
    assert _register(memory_registry, state, verdict, model, approval="auto") == first
    assert len(memory_registry.versions("delay")) == 1


def test_a_registration_that_was_killed_before_the_card_is_completed_by_the_next(memory_registry, state, model):
    class Killed(BaseException):
        pass

    class Dying(LocalState):
        def put_if_absent(self, key, value):
            raise Killed

    verdict = _verdict(Approved, model)
    with pytest.raises(Killed):
        _register(memory_registry, Dying(state.root), verdict, model)
    with pytest.raises(NotRegistered):
        card_of(state, "delay", candidate_id="c1")

    assert _register(memory_registry, state, verdict, model).version == 1
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
def test_anything_else_is_refused_and_leaves_no_trace(memory_registry, state, model, change, found):
    with pytest.raises(NotApproved, match=found) as error:
        _register(memory_registry, state, change(model), model)
    assert "delay: registration of candidate c1" in str(error.value)
    assert "Materialise `delay/evaluation`" in str(error.value)
    assert memory_registry.versions("delay") == []
    assert cards(state, "delay") == []


def test_a_model_that_was_swapped_after_its_approval_is_refused(memory_registry, state, model):
    verdict = _verdict(Approved, model)
    (model / "candidate" / "manifest.json").write_text("{}")
    with pytest.raises(NotApproved):
        _register(memory_registry, state, verdict, model)


def test_a_model_that_is_gone_is_refused(memory_registry, state, model):
    verdict = _verdict(Approved, model)
    (model / "candidate" / "manifest.json").unlink()
    with pytest.raises(CorruptArtifact):
        _register(memory_registry, state, verdict, model)


class RunOfFiles(TrackedRun):
    """A run of which only tags and artefacts matter."""

    def tags(self):
        return {"mlops/commit": "abc123", "mlops/events": "e1", "dagster/run_id": "r1"}


def _run(folder, verdict):
    if verdict is not None:
        (folder / "verdict.json").write_bytes(to_json(verdict))
    return RunOfFiles(cast(Any, None), "c1", str(folder), url="", started_ms=0)


@pytest.mark.parametrize(("refit", "artefact"), [(False, "candidate"), (True, "refit")])
def test_the_verdict_names_the_model_that_enters(memory_registry, state, model, refit, artefact):
    verdict = _verdict(Approved, model, refit_sha256=_sha256(model, "refit") if refit else None)
    card = register_run(memory_registry, state, _run(model, verdict), model="delay", approval="auto", now=NOW)
    assert card.artifact_uri == str(model / artefact)
    assert card.lineage == {
        "mlops/commit": "abc123",
        "mlops/candidate_sha256": _sha256(model),
        **({"mlops/refit_sha256": _sha256(model, "refit")} if refit else {}),
        "mlops/sha256": _sha256(model, artefact),
        "mlops/verdict": "approved",
        "mlops/evaluated_at": NOW.isoformat(),
    }


def test_a_run_without_approval_is_refused(memory_registry, state, model):
    for verdict in (
        None,
        _verdict(Rejected, model),
        msgspec.structs.replace(_verdict(Approved, model), candidate_id="x"),
    ):
        with pytest.raises(NotApproved):
            register_run(memory_registry, state, _run(model, verdict), model="delay", approval="auto", now=NOW)
    assert memory_registry.versions("delay") == []


def test_the_lineage_names_what_the_training_set_was_made_of(tmp_path, model):
    manifest = Manifest(
        sha256="aa",
        as_of=NOW,
        rows=3,
        labels=LabelCounts(*[0] * len(dataclasses.fields(LabelCounts))),
        features={"amount": "numeric"},
        spine_definition="bb",
        request_sha256="cc",
        sources={"shop/orders": 4},
        views={"customer": ViewVersion(7, "dd", {"shop/orders": 3})},
        libraries={},
    )
    (tmp_path / "manifest.json").write_bytes(encode_manifest(manifest))

    lineage = lineage_of(
        {"mlops/training_set_uri": str(tmp_path), "mlops/training_set": "aa"}, _verdict(Approved, model)
    )

    assert {
        "mlops/training_set": "aa",
        "mlops/training_set_uri": str(tmp_path),
        "mlops/as_of": NOW.isoformat(),
        "mlops/table/raw/shop/orders": "4",
        "mlops/table/features/customer": "7",
        "mlops/table/features/customer/raw/shop/orders": "3",
        "mlops/definition/spine": "bb",
        "mlops/definition/request": "cc",
        "mlops/definition/view/customer": "dd",
    }.items() <= lineage.items()
