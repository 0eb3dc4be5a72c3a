"""One feature of one window against its own past: distances, and whether the last of them leaves its history.

Keep out: which windows are compared (drift.py) and what to do about it (retraining/triage.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.stats.profile import CategoricalCounts, NumericCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mlops_assets.monitoring.spec import MonitoringSpec
    from mlops_assets.stats.grid import Grid
    from mlops_assets.stats.profile import Profile

    Column = NumericCounts | CategoricalCounts


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
        limit: PSI above which the feature leaves its history; none while the history is too short.
        z: Standard deviations above its earlier distances; none without a history, or without variation in it.
        ratio: PSI over the largest earlier PSI (or over the effect floor, where that is larger).
        exceeded: PSI is above `limit`, and PSI or KS is large enough to matter.
        broken: Missing values or new categories jumped: the look of a schema change, not of a changed world.
        exogenous: Drift of this feature informs and never alarms; a broken one still does.
    """

    name: str
    psi: float
    ks: float | None
    wasserstein: float | None
    jensen_shannon: float
    missing_share: float
    missing_jump: float
    new_category_share: float
    limit: float | None
    z: float | None
    ratio: float | None
    exceeded: bool
    broken: bool
    exogenous: bool

    @property
    def drifted(self) -> bool:
        """Tell whether this feature left its history and may say so."""
        return self.exceeded and not self.exogenous


def assess_channel(
    name: str,
    windows: Sequence[tuple[Profile, Profile]],
    *,
    grid: Grid,
    history: int,
    spec: MonitoringSpec,
    is_exogenous: bool,
) -> FeatureDrift:
    """Compare one feature of the last window with its baseline, and that distance with earlier ones.

    Args:
        name: The feature.
        windows: Windows, oldest first, each with its baseline.
        grid: The bins of all these profiles.
        history: How many of the oldest windows stand for the past.
        spec: Limits.
        is_exogenous: Whether this feature informs only.
    """
    pairs = [(window.column(name), baseline.column(name)) for window, baseline in windows]
    distances = _psi(name, pairs, grid)
    psi, (now, then) = float(distances[-1]), pairs[-1]
    limit, z, ratio = _against(psi, distances[:history], spec) if history >= spec.min_history else (None, None, None)
    ks, wasserstein = _numeric_distances(now, then, grid.numeric[name].edges) if name in grid.numeric else (None, None)
    jump, new = now.missing_share - then.missing_share, _new_category_share(now, then, spec)
    return FeatureDrift(
        name=name,
        psi=psi,
        ks=ks,
        wasserstein=wasserstein,
        jensen_shannon=_jensen_shannon(now, then),
        missing_share=now.missing_share,
        missing_jump=jump,
        new_category_share=new,
        limit=limit,
        z=z,
        ratio=ratio,
        exceeded=limit is not None and psi > limit and (psi > spec.psi_floor or (ks or 0.0) > spec.ks_floor),
        broken=jump > spec.missing_jump or new > spec.new_category_share,
        exogenous=is_exogenous,
    )


def _psi(name: str, pairs: Sequence[tuple[Column, Column]], grid: Grid) -> np.ndarray:
    """Return the PSI of every window against its baseline; numeric features on the grid's coarse bins."""
    import numpy as np

    from mlops_assets.stats.distances import psi

    counts = np.array([(window.bins, baseline.bins) for window, baseline in pairs])
    if name in grid.numeric:
        starts = [0, *(position + 1 for position in grid.numeric[name].coarse)]
        counts = np.add.reduceat(counts, starts, axis=-1)
    return psi(counts[:, 1], counts[:, 0])


def _against(psi: float, history: np.ndarray, spec: MonitoringSpec) -> tuple[float, float | None, float]:
    """Return limit, z and ratio of a distance."""
    mean, deviation, largest = float(history.mean()), float(history.std(ddof=1)), float(history.max())
    z = (psi - mean) / deviation if deviation > 0 else None
    return max(largest, mean + spec.z * deviation), z, psi / max(largest, spec.psi_floor)


def _numeric_distances(now: Column, then: Column, edges: tuple[float, ...]) -> tuple[float, float | None]:
    """Return KS and the Wasserstein distance, each bin's mass at its lower edge, in the baseline's deviations."""
    import numpy as np

    from mlops_assets.stats.distances import kolmogorov_smirnov, wasserstein

    reference, current = np.array(then.bins), np.array(now.bins)
    ks = float(kolmogorov_smirnov(reference, current))
    if not (
        isinstance(now, NumericCounts) and isinstance(then, NumericCounts) and now.low is not None and then.deviation
    ):
        return ks, None
    lowest = min(low for low in (now.low, then.low, edges[0]) if low is not None)
    return ks, float(wasserstein(reference, current, np.array([lowest, *edges]))) / then.deviation


def _jensen_shannon(now: Column, then: Column) -> float:
    import numpy as np

    from mlops_assets.stats.distances import jensen_shannon

    return float(jensen_shannon(np.array(then.bins), np.array(now.bins)))


def _new_category_share(now: Column, then: Column, spec: MonitoringSpec) -> float:
    """Return 0 where the baseline has unlisted categories too: a column of very many is not news."""
    if not (isinstance(now, CategoricalCounts) and isinstance(then, CategoricalCounts)):
        return 0.0
    return now.other_share if then.other_share <= spec.new_category_share else 0.0
