"""Let a version in only with an approved verdict for exactly that candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.verdict import Approved, Verdict, read_verdict
from mlops_assets.predictor.artifact import identity
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card, cards
from mlops_assets.registry.lineage import lineage_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.registry import Registry
    from mlops_assets.training.tracking import TrackedRun

Approval = Literal["auto", "manual"]
GATE = "gate"


class NotApproved(MlopsError):
    """The candidate has no approved verdict."""

    def __init__(self, model: str, candidate_id: str, *, found: str) -> None:
        super().__init__(
            f"{model}: registration of candidate {candidate_id}",
            found=found,
            required="an approved verdict stored for exactly this candidate and this saved model",
            remedy=f"Materialise `{model}/evaluation` for it, or train a better candidate.",
        )


class NotRegistered(MlopsError):
    """The candidate has no version."""

    def __init__(self, model: str, candidate_id: str) -> None:
        super().__init__(
            f"{model}: version of candidate {candidate_id}",
            found="none in the registry",
            required="a version registered for it",
            remedy=f"Materialise `{model}/registered_version`; it needs an approved verdict.",
        )


def card_of(state: StateStore, model: str, *, candidate_id: str) -> VersionCard:
    """Return the version that a candidate became.

    Raises:
        NotRegistered: It became none.
    """
    found = next((card for card in cards(state, model) if card.candidate_id == candidate_id), None)
    if found is None:
        raise NotRegistered(model, candidate_id)
    return found


def register_run(
    registry: Registry, state: StateStore, run: TrackedRun, *, model: str, approval: Approval, now: datetime
) -> VersionCard:
    """Register the candidate of `run` under the verdict stored there; the artefact is the one the verdict names.

    Raises:
        NotApproved: See `register_approved`.
    """
    verdict = approved(read_verdict(run), model=model, candidate_id=run.run_id)
    return register_approved(
        registry,
        state,
        verdict,
        model=model,
        artifact_uri=run.artifact_uri(verdict.artifact),
        lineage=lineage_of(run.tags(), verdict),
        approval=approval,
        now=now,
    )


def approved(verdict: Verdict | None, *, model: str, candidate_id: str) -> Approved:
    """Return the verdict if it lets this candidate in.

    Raises:
        NotApproved: There is none, it is a rejection, or it is about another candidate.
    """
    if verdict is None:
        raise NotApproved(model, candidate_id, found="no verdict")
    if verdict.candidate_id != candidate_id:
        raise NotApproved(model, candidate_id, found=f"a verdict on candidate {verdict.candidate_id}")
    if not isinstance(verdict, Approved):
        raise NotApproved(model, candidate_id, found="rejected: " + "; ".join(verdict.reasons))
    return verdict


def register_approved(
    registry: Registry,
    state: StateStore,
    verdict: Approved,
    *,
    model: str,
    artifact_uri: str,
    lineage: Mapping[str, str],
    approval: Approval,
    now: datetime,
) -> VersionCard:
    """Register a candidate, in MLflow and then as a card of the lake; a second time it changes nothing.

    A version without a card takes no traffic and no alias, so a registration that was killed in between shows nothing,
    and finds its version in MLflow when it is made again.

    Raises:
        NotApproved: The saved model is not the one that was judged.
    """
    candidate_id, sha256 = verdict.candidate_id, identity(artifact_uri)
    if sha256 != verdict.sha256:
        raise NotApproved(model, candidate_id, found=f"model {sha256} at {artifact_uri}, approved was {verdict.sha256}")
    version = registry.register(
        model, candidate_id=candidate_id, run_id=candidate_id, artifact_uri=artifact_uri, tags=lineage
    )
    card = VersionCard(
        name=model,
        version=version.version,
        candidate_id=candidate_id,
        run_id=version.run_id,
        artifact_uri=artifact_uri,
        sha256=sha256,
        registered_at=now,
        decisions=first_decision(approval, now=now),
        lineage=dict(lineage),
    )
    return add_card(state, card)


def first_decision(approval: Approval, *, now: datetime) -> tuple[Decision, ...]:
    """Return what is decided about a version as it is registered: it is approved, or a person will say."""
    return (Decision("approved", GATE, now, "approval: auto"),) if approval == "auto" else ()
