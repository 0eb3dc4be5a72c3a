"""Everything that is known about versions, gathered as plain values: for a person, for machines, for comparing.

Add here: where a fact of a version is read. Keep out: how it is shown (`cli/models.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.evaluate import TEST_METRIC
from mlops_assets.evaluation.verdict import Verdict, read_verdict
from mlops_assets.features.training_set import COPY, decode_manifest
from mlops_assets.features.training_set import Manifest as TrainingSetManifest
from mlops_assets.predictor.artifact import read_manifest
from mlops_assets.predictor.manifest import Manifest
from mlops_assets.registry.lifecycle import Status, VersionCard
from mlops_assets.stats.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.training.tracked_run import TrackedRun
    from mlops_assets.training.tracking import Tracking

T = TypeVar("T")
PARTS = ("train", "validation", "test")
PATIENCE_S = 5.0  # whoever only looks does not wait long for a store that is down


@dataclass(frozen=True)
class ModelSummary:
    """One model at a glance.

    Attributes:
        newest: Number of its newest version.
        status: Status of that one.
        shown: The version that the following is about: the champion, or the newest if there is none.
        trained_through: Newest prediction time that it was fitted on.
        metric: What the gate judged by, on the test rows of its candidate.
        age_days: Since it was registered.
    """

    model: str
    champion: int | None
    challenger: int | None
    previous: int | None
    newest: int
    status: Status
    pending: tuple[int, ...]
    shown: int
    trained_through: str | None
    metric: str | None
    age_days: float


@dataclass(frozen=True)
class VersionFacts:
    """One version. A part that could not be read is None or empty, and `notes` say why.

    Attributes:
        roles: Of champion, challenger and previous, those that it is.
        saved: Manifest of its saved model.
        training_set: Manifest of what it was trained on.
        verdict: Of the gate, on its candidate.
        metrics: By part of the split, then by metric.
        mlflow_url: Page of its run.
    """

    card: VersionCard
    roles: tuple[str, ...]
    saved: Manifest | None
    training_set: TrainingSetManifest | None
    verdict: Verdict | None
    metrics: dict[str, dict[str, float]]
    mlflow_url: str | None
    notes: tuple[str, ...]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What decided the fit besides the rows (`training.estimators.Recipe`)."""
        return self.saved.facts.get("recipe", {}) if self.saved else {}


def summarize(cards: Sequence[VersionCard], roles: Mapping[str, int], *, now: datetime) -> ModelSummary:
    """Return the summary of a model.

    Args:
        cards: Of all its versions, oldest first; at least one.
        roles: Version of each role that is taken.
    """
    newest = cards[-1]
    shown = next((card for card in cards if card.version == roles.get("champion")), newest)
    saved, _ = _attempt(lambda: read_manifest(shown.artifact_uri))
    return ModelSummary(
        model=newest.name,
        champion=roles.get("champion"),
        challenger=roles.get("challenger"),
        previous=roles.get("previous"),
        newest=newest.version,
        status=newest.status,
        pending=tuple(card.version for card in cards if card.status == "pending"),
        shown=shown.version,
        trained_through=saved.facts.get("trained_through") if saved else None,
        metric=shown.lineage.get(TEST_METRIC),
        age_days=(now - shown.registered_at) / timedelta(days=1),
    )


def describe(card: VersionCard, roles: Mapping[str, int], tracking: Tracking) -> VersionFacts:
    """Gather what is known about a version; what is gone or out of reach is left out with a note."""
    saved, no_model = _attempt(lambda: read_manifest(card.artifact_uri))
    ran, no_run = _attempt(lambda: _of_run(replace(tracking, patience_s=PATIENCE_S).open_run(card.run_id)))
    return VersionFacts(
        card=card,
        roles=tuple(role for role, version in roles.items() if version == card.version),
        saved=saved,
        notes=tuple(note for note in (no_model, no_run) if note),
        **(ran or {"training_set": None, "verdict": None, "metrics": {}, "mlflow_url": None}),
    )


def _of_run(run: TrackedRun) -> dict[str, Any]:
    copy, found = run.read_bytes(COPY), run.client.get_run(run.run_id).data.metrics
    names = (*METRICS, "rows")  # without curves and importances
    return {
        "training_set": decode_manifest(copy) if copy else None,
        "verdict": read_verdict(run),
        "metrics": {
            part: {name: found[f"{part}_{name}"] for name in names if f"{part}_{name}" in found} for part in PARTS
        },
        "mlflow_url": run.url,
    }


def _attempt(read: Callable[[], T]) -> tuple[T | None, str | None]:
    """Return what could be read, or why it could not."""
    try:
        return read(), None
    except MlopsError as error:
        return None, str(error)
