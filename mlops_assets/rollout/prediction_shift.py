"""How differently both arms score the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.rollout.evidence import Judged, Outcome
from mlops_assets.stats.distances import psi

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.rollout.evidence import Sample, Vector
    from mlops_assets.rollout.spec import PredictionShiftSpec

BINS = 10
DEVIATIONS = 3.09  # of a one-sided chance of 0.001


def prediction_shift(sample: Sample, spec: PredictionShiftSpec, *, is_shadow: bool) -> Judged | None:
    """Fail if the PSI between the arms' scores is surely above `max_psi`.

    Outside of a shadow step nobody promises that a row is scored by both: too few of them are no verdict there.
    """
    champion, challenger = sample.both
    rows = len(champion)
    if rows < spec.min_rows:
        if not is_shadow:
            return None
        said = f"{rows:,} rows were scored by both arms; it takes {spec.min_rows:,}."
        return Judged("prediction_shift", "no_data", None, spec.max_psi, said)
    value, error = paired_psi(*binned(champion, challenger, is_categorical=sample.is_categorical))
    outcome: Outcome = "inconclusive" if value > spec.max_psi else "pass"
    if value - DEVIATIONS * error > spec.max_psi:
        outcome = "fail"
    said = f"PSI {value:.3f} between the scores of {rows:,} rows; {_means(sample)}."
    return Judged("prediction_shift", outcome, value, spec.max_psi, said)


def binned(champion: Vector, challenger: Vector, *, is_categorical: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the bin of each score and the number of bins: tenths of the champion's scores, or classes."""
    import numpy as np

    if is_categorical:
        classes, position = np.unique(np.concatenate([champion, challenger]), return_inverse=True)
        return position[: len(champion)], position[len(champion) :], len(classes)
    known = champion[np.isfinite(champion)]
    tenths = np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf") if len(known) else known
    edges, times = np.unique(tenths, return_counts=True)
    frequent = np.nextafter(edges[times > 1], -np.inf)  # a score of many rows has a bin of its own
    edges = np.union1d(edges, frequent)
    return np.searchsorted(edges, champion), np.searchsorted(edges, challenger), len(edges) + 1


def paired_psi(champion: np.ndarray, challenger: np.ndarray, bins: int) -> tuple[float, float]:
    """Return the PSI of two binnings of the same rows, less what chance adds to it, and its standard error (delta method).

    Of few rows the plain PSI is too large: by the sum over the bins of Var(q - p) / p, which is 0 where both arms agree on
    every row, and (bins - 1) x 2 / rows where they are independent.

    >>> import numpy as np
    >>> same = np.array([0, 1, 1, 2])
    >>> paired_psi(same, same, 3)
    (0.0, 0.0)
    """
    import numpy as np

    rows = len(champion)
    p, q = (np.bincount(one, minlength=bins) for one in (champion, challenger))
    both = np.bincount(champion[champion == challenger], minlength=bins) / rows
    plain = float(psi(p, q))
    p, q = p / rows, q / rows
    variance = (p + q - 2 * both - (p - q) ** 2) / rows
    middle = (p + q) / 2
    bias = float(np.sum(variance / np.where(middle > 0, middle, 1)))
    low = 1 / rows  # keeps the gradient finite in a bin that one arm leaves empty
    a, b = np.maximum(p, low), np.maximum(q, low)
    influence = (np.log(b / a) + 1 - a / b)[challenger] + (np.log(a / b) + 1 - b / a)[champion]
    return max(plain - bias, 0.0), float(influence.std() / rows**0.5)


def _means(sample: Sample) -> str:
    champion, challenger = sample.both
    if sample.is_categorical:
        return f"the arms disagree on {float((champion != challenger).mean()):.1%} of the classes"
    return f"mean score {float(challenger.mean()):.4g}, champion {float(champion.mean()):.4g}"
