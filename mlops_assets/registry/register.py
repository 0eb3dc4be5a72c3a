"""Let a version in only with an approved verdict for exactly that candidate, and move the aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.verdict import Approved, Verdict, read_verdict
from mlops_assets.predictor.artifact import identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.registry.registry import ModelVersion, Registry
    from mlops_assets.training.tracking import TrackedRun


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


def version_of(registry: Registry, name: str, *, candidate_id: str) -> ModelVersion:
    """Return the version that a candidate became.

    Raises:
        NotRegistered: It became none.
    """
    found = next((version for version in registry.versions(name) if version.candidate_id == candidate_id), None)
    if found is None:
        raise NotRegistered(name, candidate_id)
    return found


def register_run(registry: Registry, run: TrackedRun, *, model: str, lineage: Mapping[str, str]) -> ModelVersion:
    """Register the candidate of `run` under the verdict stored there; the artefact is the one the verdict names.

    Raises:
        NotApproved: See `register_approved`.
    """
    verdict = read_verdict(run)
    uri = run.artifact_uri(verdict.artifact) if verdict else ""
    return register_approved(registry, verdict, model=model, candidate_id=run.run_id, artifact_uri=uri, lineage=lineage)


def register_approved(
    registry: Registry,
    verdict: Verdict | None,
    *,
    model: str,
    candidate_id: str,
    artifact_uri: str,
    lineage: Mapping[str, str],
) -> ModelVersion:
    """Register a candidate and point `challenger` to it; a second time it changes nothing.

    Raises:
        NotApproved: There is no verdict, it is a rejection, or it is about another candidate or another saved model.
    """
    if verdict is None:
        raise NotApproved(model, candidate_id, found="no verdict")
    if verdict.candidate_id != candidate_id:
        raise NotApproved(model, candidate_id, found=f"a verdict on candidate {verdict.candidate_id}")
    if not isinstance(verdict, Approved):
        raise NotApproved(model, candidate_id, found="rejected: " + "; ".join(verdict.reasons))
    sha256 = identity(artifact_uri)
    if sha256 != verdict.sha256:
        raise NotApproved(model, candidate_id, found=f"model {sha256} at {artifact_uri}, approved was {verdict.sha256}")
    version = registry.register(
        model, candidate_id=candidate_id, artifact_uri=artifact_uri, tags={**lineage, "mlops/sha256": sha256}
    )
    registry.set_alias(model, "challenger", version.version)
    return version


def promote(registry: Registry, name: str, version: int) -> ModelVersion:
    """Make a version the champion; the one it replaces becomes `previous`. Doing it again changes nothing.

    Raises:
        VersionNotFound: There is no such version.
    """
    promoted, champion = registry.get(name, version), registry.by_alias(name, "champion")
    if champion != promoted:
        if champion is not None:
            registry.set_alias(name, "previous", champion.version)
        registry.set_alias(name, "champion", version)
    return promoted
