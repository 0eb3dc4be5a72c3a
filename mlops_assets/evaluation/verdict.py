"""The verdict on a candidate: a value with its reasons, stored against the run and read again at registration."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.training.candidate import CANDIDATE

if TYPE_CHECKING:
    from mlops_assets.training.tracking import TrackedRun

VERDICT = "verdict.json"
REFIT = "refit"


class UnreadableVerdict(MlopsError):
    """The stored verdict is not a verdict of this project."""

    def __init__(self, found: str) -> None:
        super().__init__(
            "stored verdict",
            found=found,
            required="an Approved or a Rejected",
            remedy="Materialise `evaluation` again.",
        )


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One slice or group behind a criterion.

    Attributes:
        observed: Its metric, or its share of positive decisions; None where it is undefined.
        gap: By how much it is worse than all rows; `low` and `high` are the ends of the interval of that.
        passed: None if it is shown and not judged; `note` says why.
    """

    name: str
    rows: int
    observed: float | None
    gap: float | None = None
    low: float | None = None
    high: float | None = None
    passed: bool | None = None
    note: str = ""


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was asked of the candidate.

    Attributes:
        observed: What was measured; None where it is undefined.
        threshold: What it was measured against.
        low: Lower end of the interval of `observed`, if it has one.
        reason: One sentence with the numbers, for a person.
        kind: What it belongs to, for display: quality, slices, fairness, serving or refit.
        metric: Which metric `observed` is, or is a difference of.
        parts: Slices or groups behind it.
    """

    name: str
    observed: float | None
    threshold: float | None
    passed: bool
    reason: str
    low: float | None = None
    high: float | None = None
    kind: str = "quality"
    metric: str | None = None
    parts: tuple[Part, ...] = ()


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """What both verdicts say.

    Attributes:
        notes: What a reader should know that was not a criterion, such as that there is no champion yet.
        candidate_sha256: Identity of the saved model that was judged.
        refit_sha256: Identity of the model fitted again on all rows, if there is one.
    """

    candidate_id: str
    criteria: tuple[Criterion, ...]
    notes: tuple[str, ...]
    candidate_sha256: str
    evaluated_at: datetime
    refit_sha256: str | None = None
    schema_version: int = 1

    @property
    def is_approved(self) -> bool:
        """Tell which of the two verdicts this is."""
        return isinstance(self, Approved)

    @property
    def artifact(self) -> str:
        """Name of the run's artefact that a registration takes."""
        return REFIT if self.refit_sha256 else CANDIDATE

    @property
    def sha256(self) -> str:
        """Identity of that artefact."""
        return self.refit_sha256 or self.candidate_sha256

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason against the candidate, or every reason for it if none is against."""
        against = tuple(criterion.reason for criterion in self.criteria if not criterion.passed)
        return against or (*(criterion.reason for criterion in self.criteria), *self.notes)


class Approved(Evaluated, frozen=True, kw_only=True, tag="approved"):
    """Every criterion passed."""


class Rejected(Evaluated, frozen=True, kw_only=True, tag="rejected"):
    """At least one criterion failed."""


Verdict = Approved | Rejected


def decide(verdict: Evaluated, *further: Criterion, refit_sha256: str | None = None) -> Verdict:
    """Return the verdict on the criteria of `verdict` and any further ones: approved only if all passed."""
    criteria = (*verdict.criteria, *further)
    kind = Approved if criteria and all(criterion.passed for criterion in criteria) else Rejected
    return kind(
        candidate_id=verdict.candidate_id,
        criteria=criteria,
        notes=verdict.notes,
        candidate_sha256=verdict.candidate_sha256,
        evaluated_at=verdict.evaluated_at,
        refit_sha256=refit_sha256 or verdict.refit_sha256,
    )


def to_json(verdict: Verdict) -> bytes:
    """Write a verdict as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(verdict), indent=2)


def from_json(data: bytes) -> Verdict:
    """Read a verdict.

    Raises:
        UnreadableVerdict: The bytes are not a verdict.
    """
    try:
        return decoder(Verdict).decode(data)
    except msgspec.DecodeError as error:
        raise UnreadableVerdict(str(error)) from error


def write_verdict(run: TrackedRun, verdict: Verdict) -> None:
    """Store the verdict against the candidate's run."""
    run.log_bytes(VERDICT, to_json(verdict))
    run.set_tags({"mlops/verdict": "approved" if isinstance(verdict, Approved) else "rejected"})


def read_verdict(run: TrackedRun) -> Verdict | None:
    """Return the stored verdict, or None if the candidate was never evaluated."""
    data = run.read_bytes(VERDICT)
    return None if data is None else from_json(data)
