"""Does the refit, which will serve, resemble the candidate that was judged?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.verdict import Criterion
from mlops_assets.stats.metrics import METRICS

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, Any]

METRIC_BAND = 0.02  # share of the candidate's metric that the refit may lose on rows it has now seen
MEAN_BAND = 0.5  # standard deviations of the candidate's scores by which the refit's mean may move


def refit_metric(y: Vector, candidate: Vector, refit: Vector, *, metric: str) -> Criterion:
    """Require that the refit is not worse on the test rows, which it has seen, than the candidate was."""
    before, after = METRICS[metric](y, candidate), METRICS[metric](y, refit)
    loss = before - after if METRICS[metric].greater_is_better else after - before
    allowed = METRIC_BAND * abs(before)
    return Criterion(
        name="refit_metric",
        kind="refit",
        metric=metric,
        observed=after,
        threshold=before,
        passed=loss <= allowed,
        reason=f"refit_metric: {metric} of the refit is worse by {loss:.4g}; required <= {allowed:.4g}",
    )


def refit_mean(candidate: Vector, refit: Vector) -> Criterion:
    """Require that the refit's scores have about the candidate's mean on the same rows; of several classes each one's."""
    import numpy as np

    shifts = np.atleast_1d(np.abs(refit.mean(axis=0) - candidate.mean(axis=0)))
    limits = np.atleast_1d(MEAN_BAND * np.std(candidate, axis=0))
    worst = int(np.argmax(shifts - limits))
    shift, allowed = float(shifts[worst]), float(limits[worst])
    return Criterion(
        name="refit_mean",
        kind="refit",
        observed=shift,
        threshold=allowed,
        passed=shift <= allowed,
        reason=f"refit_mean: the mean score moved by {shift:.4g}; required <= {allowed:.4g}",
    )
