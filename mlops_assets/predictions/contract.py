"""The contract of predictions: what the scores of a window must look like before anybody may read them.

Scores are counted part by part, so that a window need not fit into memory, and judged at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa

    from mlops_assets.predictions.spec import PredictionContractSpec
    from mlops_assets.predictor.signature import Task

HAS_ROWS = "has_rows"
FINITE = "finite_scores"
BOUNDS = "score_bounds"
MEAN = "score_mean"
DISTINCT = "distinct_scores"
LOOKED_UP = "features_found"
CONDITIONS = {
    HAS_ROWS: "The window has rows to score.",
    FINITE: "Every score is a number.",
    BOUNDS: "Every score is between `min` and `max`.",
    MEAN: "The mean of the scores is between `mean_min` and `mean_max`.",
    DISTINCT: "There are at least `distinct_min` different scores.",
    LOOKED_UP: "At most `max_null_features` of the rows found none of the features that are looked up.",
}


@dataclass
class Tally:
    """Counts of the scores seen so far.

    Attributes:
        looked_up: Names of the features that come from views.
        distinct_wanted: Different scores are counted up to here.
        without_features: Rows in which all of `looked_up` are null.
    """

    looked_up: Sequence[str]
    distinct_wanted: int
    rows: int = 0
    not_finite: int = 0
    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    without_features: int = 0
    seen: set[float] = field(default_factory=set[float])

    def add(self, vectors: pa.Table, scores: np.ndarray[Any, Any]) -> None:
        """Count a part: its vectors, and one score a row."""
        import numpy as np

        finite = scores[np.isfinite(scores)]
        self.rows += len(scores)
        self.not_finite += len(scores) - len(finite)
        if len(finite):
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
            self.total += float(finite.sum())
        if len(self.seen) < self.distinct_wanted:
            self.seen.update(np.unique(finite)[: self.distinct_wanted].tolist())
        self.without_features += _all_null(vectors, self.looked_up)

    @property
    def mean(self) -> float | None:
        """Return the mean of the scores that are numbers."""
        counted = self.rows - self.not_finite
        return self.total / counted if counted else None


def judge(tally: Tally, spec: PredictionContractSpec, task: Task) -> list[Finding]:
    """Return one finding for each of `CONDITIONS`.

    A score that is no number is refused whatever the severity; a window without rows is only reported.
    """
    return [
        _finding(HAS_ROWS, tally, "" if tally.rows else "no rows: there is nothing to score", severity="warn"),
        _finding(
            FINITE, tally, _too_many(tally.not_finite, tally, 0, "are no numbers"), severity="block",
            failed=tally.not_finite,
        ),
        *(_finding(name, tally, broken, severity=spec.severity) for name, broken in _judged(tally, spec, task)),
    ]  # fmt: skip


def bounds(spec: PredictionContractSpec, task: Task) -> tuple[float | None, float | None]:
    """Return the least and the largest score allowed; probabilities lie in [0, 1] unless the file is stricter."""
    least, most = (None, None) if task == "regression" else (0.0, 1.0)
    return (least if spec.min is None else spec.min), (most if spec.max is None else spec.max)


def _judged(tally: Tally, spec: PredictionContractSpec, task: Task) -> Iterator[tuple[str, str]]:
    """Yield each condition that the file sets, with how it is broken."""
    mean, counted = tally.mean, tally.rows - tally.not_finite
    low, high = bounds(spec, task)
    extremes = [f"{value:.6g}" for value in (tally.low, tally.high) if not _within(value, low, high)] if counted else []
    yield BOUNDS, f"scores reach {' and '.join(extremes)}; required {_band(low, high)}" if extremes else ""
    off = mean is not None and not _within(mean, spec.mean_min, spec.mean_max)
    yield MEAN, f"mean {mean:.6g}; required {_band(spec.mean_min, spec.mean_max)}" if off else ""
    few = counted > 0 and len(tally.seen) < spec.distinct_min
    yield DISTINCT, f"{len(tally.seen)} different scores; required at least {spec.distinct_min}" if few else ""
    yield LOOKED_UP, _too_many(tally.without_features, tally, spec.max_null_features, "found no looked-up feature")


def _finding(name: str, tally: Tally, broken: str, *, severity: Any, failed: int | None = None) -> Finding:
    failed = int(bool(broken)) if failed is None else failed
    return Finding(name, severity, failed, tally.rows, not broken, broken or "as required", [])


def _too_many(count: int, tally: Tally, share: float, what: str) -> str:
    if not tally.rows or count <= share * tally.rows:
        return ""
    return f"{count:,} of {tally.rows:,} rows {what}; required at most {share:.1%}"


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _band(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}"


def _all_null(vectors: pa.Table, names: Sequence[str]) -> int:
    """Count the rows in which all of the columns are null or NaN."""
    import numpy as np

    empty = np.ones(vectors.num_rows if names else 0, bool)
    for name in names:
        empty &= vectors[name].is_null(nan_is_null=True).to_numpy()
        if not empty.any():
            return 0
    return int(empty.sum())
