"""One feature of one window against its own past: distances, and whether the last of them leaves its history.

Keep out: which windows are compared (drift.py) and what to do about it (retraining/triage.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import log
from operator import add
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.monitoring.series import mean_and_deviation, measure
from mlops_assets.stats.profile import CategoricalCounts, NumericCounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from mlops_assets.monitoring.series import Series
    from mlops_assets.monitoring.spec import MonitoringSpec
    from mlops_assets.stats.grid import Grid
    from mlops_assets.stats.profile import Profile

    Column = NumericCounts | CategoricalCounts


Fault = Literal["missing values", "new categories", "scale"]


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of one window against its baseline.

    Attributes:
        psi: Population stability index on about 10 bins, or on all categories.
        ks: Kolmogorov-Smirnov statistic; numeric features only.
        wasserstein: Earth mover's distance in standard deviations of the baseline; numeric features that vary only.
        jensen_shannon: Jensen-Shannon distance on the finest bins.
        missing_share: Share of rows without a value; every distance leaves them out.
        missing_jump: Rise of that share over the baseline.
        new_category_share: Share of rows in categories that neither training nor the baseline knew.
        shift: Distance of the means in standard deviations of the baseline; 0 for categorical features.
        spread: Absolute logarithm of the ratio of the standard deviations; 0 for categorical features.
        limit: PSI above which the feature leaves its history; none while the history is too short.
        z: Standard deviations above its earlier distances; none without a history, or without variation in it.
        ratio: PSI over the largest earlier PSI (or over the effect floor, where that is larger).
        exceeded: PSI is above `limit`, and PSI or KS is large enough to matter.
        faults: What has the look of a broken pipeline, not of a changed world.
        exogenous: This feature informs and never alarms; that its source delivers is for the contract of that source.
    """

    name: str
    psi: float
    ks: float | None
    wasserstein: float | None
    jensen_shannon: float
    missing_share: float
    missing_jump: float
    new_category_share: float
    shift: float
    spread: float
    limit: float | None
    z: float | None
    ratio: float | None
    exceeded: bool
    faults: tuple[Fault, ...]
    exogenous: bool

    @property
    def broken(self) -> bool:
        return bool(self.faults)

    @property
    def alarms(self) -> bool:
        """Tell whether this feature makes its window alarm."""
        return (self.exceeded or self.broken) and not self.exogenous


def assess_channel(
    name: str,
    windows: Sequence[Profile],
    baselines: Sequence[slice],
    *,
    grid: Grid,
    history: int,
    spec: MonitoringSpec,
    is_exogenous: bool,
) -> FeatureDrift:
    """Compare one feature of the last window with its baseline, and that distance with earlier ones.

    Args:
        name: The feature.
        windows: All windows, oldest first.
        baselines: For each of the newest windows, the windows that it is compared with.
        grid: The bins of all windows.
        history: How many of the oldest comparisons stand for the past.
        spec: Limits.
        is_exogenous: Whether this feature informs only.
    """
    columns = [window.column(name) for window in windows]
    series = measure(name, columns, baselines, grid)
    now, then = columns[-1], _total(columns[baselines[-1]])
    psi, new = float(series.psi[-1]), _new_category_share(now, then, spec)
    known = history >= spec.min_history
    limit, z, ratio = _against(psi, series.psi[:history], spec) if known else (None, None, None)
    ks, wasserstein = _numeric_distances(now, then, grid.numeric[name].edges) if name in grid.numeric else (None, None)
    return FeatureDrift(
        name=name,
        psi=psi,
        ks=ks,
        wasserstein=wasserstein,
        jensen_shannon=_jensen_shannon(now, then),
        missing_share=now.missing_share,
        missing_jump=float(series.missing_jump[-1]),
        new_category_share=new,
        shift=float(series.shift[-1]),
        spread=float(series.spread[-1]),
        limit=limit,
        z=z,
        ratio=ratio,
        exceeded=limit is not None and psi > limit and (psi > spec.psi_floor or (ks or 0.0) > spec.ks_floor),
        faults=tuple(_faults(series, new, history=history, spec=spec)),
        exogenous=is_exogenous,
    )


def _total(columns: Sequence[Any]) -> Column:
    return reduce(add, columns)


def _against(psi: float, history: np.ndarray, spec: MonitoringSpec) -> tuple[float, float | None, float]:
    """Return limit, z and ratio of a distance."""
    mean, deviation, largest = float(history.mean()), float(history.std(ddof=1)), float(history.max())
    z = (psi - mean) / deviation if deviation > 0 else None
    return max(largest, mean + spec.z * deviation), z, psi / max(largest, spec.psi_floor)


def _faults(series: Series, new_category_share: float, *, history: int, spec: MonitoringSpec) -> Iterator[Fault]:
    """Yield what looks like a broken pipeline; a column that always has holes, or always wanders so far, is no news."""
    if new_category_share > spec.new_category_share:
        yield "new categories"
    if _leaps(series.missing_jump, spec.missing_jump, history=history, spec=spec):
        yield "missing values"
    if history < spec.min_history:
        return
    sudden_shift = max(1.0, spec.sudden_ratio * float(series.shift[:history].max()))
    if _leaps(series.spread, log(spec.scale_factor), history=history, spec=spec) or _leaps(
        series.shift, sudden_shift, history=history, spec=spec
    ):
        yield "scale"


def _leaps(values: np.ndarray, floor: float, *, history: int, spec: MonitoringSpec) -> bool:
    """Tell whether the last value is above `floor` and, where there is a history, above that too."""
    if values[-1] <= floor or history < spec.min_history:
        return bool(values[-1] > floor)
    limit, _, _ = _against(float(values[-1]), values[:history], spec)
    return bool(values[-1] > limit)


def _numeric_distances(now: Column, then: Column, edges: tuple[float, ...]) -> tuple[float, float | None]:
    """Return KS and the Wasserstein distance, each bin's mass at its lower edge, in the baseline's deviations."""
    import numpy as np

    from mlops_assets.stats.distances import kolmogorov_smirnov, wasserstein

    reference, current = np.array(then.bins), np.array(now.bins)
    ks = float(kolmogorov_smirnov(reference, current))
    assert isinstance(now, NumericCounts)
    assert isinstance(then, NumericCounts)
    _, deviation = mean_and_deviation(np.array([sum(then.counts), then.total, then.squares]))
    if now.low is None or then.low is None or not deviation:
        return ks, None
    positions = np.array([min(now.low, then.low, edges[0]), *edges])
    return ks, float(wasserstein(reference, current, positions) / deviation)


def _jensen_shannon(now: Column, then: Column) -> float:
    import numpy as np

    from mlops_assets.stats.distances import jensen_shannon

    return float(jensen_shannon(np.array(then.bins), np.array(now.bins)))


def _new_category_share(now: Column, then: Column, spec: MonitoringSpec) -> float:
    """Return 0 where the baseline has unlisted categories too: a column of very many is not news."""
    if not (isinstance(now, CategoricalCounts) and isinstance(then, CategoricalCounts)):
        return 0.0
    return now.other_share if then.other_share <= spec.new_category_share else 0.0
