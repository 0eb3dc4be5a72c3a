"""What was seen of both arms at one step of a rollout, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, Any]

Outcome = Literal["pass", "fail", "inconclusive", "no_data"]
WORST_FIRST: tuple[Outcome, ...] = ("fail", "inconclusive", "no_data", "pass")


@dataclass(frozen=True)
class ArmSample:
    """One arm since the step began.

    Attributes:
        requests: Requests that the arm was to answer, or to score in the shadow.
        errors: Those on which it failed; the champion answered in its place.
        units: Distinct units that were assigned to the arm.
        features: Feature values that the arm asked for: rows times features.
        nulls: Those that it did not have.
        latency_ms: Time in the arm itself (features and model) of each request that was scored by itself, float64.
        outcomes: By labelled unit, the mean of the label metric, float64.
        unit_errors: By unit, its errors and its requests, two int64 arrays; None: each request is a unit of its own.
        latency_units: Of each latency, the unit; None: the same.
    """

    requests: int
    errors: int
    units: int
    features: int
    nulls: int
    latency_ms: Vector
    outcomes: Vector
    unit_errors: tuple[Vector, Vector] | None = None
    latency_units: Vector | None = None


@dataclass(frozen=True)
class Sample:
    """Both arms since the step began.

    Attributes:
        both: Scores of the same rows by champion and challenger, two float64 arrays of one length; of a multiclass model the
            positions of the predicted classes.
        labelled: Rows of the challenger that have a label.
    """

    champion: ArmSample
    challenger: ArmSample
    both: tuple[Vector, Vector]
    is_categorical: bool = False
    labelled: int = 0


@dataclass(frozen=True)
class Judged:
    """One metric at one look.

    Attributes:
        value: What was measured: a share, a ratio, a PSI, a difference; None without data.
        limit: What it is compared with.
        said: One sentence with both arms' numbers.
    """

    metric: str
    outcome: Outcome
    value: float | None
    limit: float | None
    said: str
    dry_run: bool = False


@dataclass(frozen=True)
class Evidence:
    """One look at a step.

    Attributes:
        step: Position of the step that was looked at; evidence about another step says nothing.
        requests: Of the challenger since the step began.
    """

    at: datetime
    step: int
    requests: int
    judged: tuple[Judged, ...] = field(default=())
