"""Compare a window with its past, feature by feature, and say which left their own history.

Between a window and its baseline lie `RECENT_WINDOWS - 1` windows that belong to neither the baseline nor the history:
those are the windows that must agree before a model is retrained, and a change that lasts would otherwise become its
own excuse one window later.

Add here: what makes a feature alarm. Keep out: what to do about it (retraining/triage.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.monitoring.channel import FeatureDrift, assess_channel
from mlops_assets.predictor.outputs import MONITORED, PREDICTED_CLASS, SCORE
from mlops_assets.stats.profile import GridMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.monitoring.spec import MonitoringSpec
    from mlops_assets.stats.grid import Grid
    from mlops_assets.stats.profile import Profile

RECENT_WINDOWS = 3  # a lasting change shows in most of these; the first of them is compared with what came before all
GAP = RECENT_WINDOWS - 1
MIN_BASELINE = 4  # windows; a shorter baseline is one holiday


@dataclass(frozen=True)
class DriftReport:
    """What is known about the drift of one window.

    Attributes:
        state: `insufficient` when rows or earlier windows are too few to say `ok`.
        baseline: Keys of the windows that this one was compared with; empty if there were too few.
        history: Number of earlier distances behind each limit.
        features: One entry per monitored feature, largest PSI over limit first.
        score: The scores of the model, if the window has any.
        predicted_class: The classes that a multiclass model predicted.
    """

    window: str
    state: Literal["ok", "insufficient", "alarm"]
    rows: int
    baseline: tuple[str, ...]
    history: int
    features: tuple[FeatureDrift, ...]
    score: FeatureDrift | None
    predicted_class: FeatureDrift | None = None
    schema_version: int = 1

    @property
    def channels(self) -> tuple[FeatureDrift, ...]:
        """Return the features, then what the model made of them, if it scored."""
        outputs = (self.score, self.predicted_class)
        return (*self.features, *(channel for channel in outputs if channel is not None))

    def to_json(self) -> bytes:
        """Return the report as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> DriftReport:
        """Read what `to_json` wrote."""
        return decoder(cls).decode(data)


def assess(
    window: str,
    current: Profile,
    past: Sequence[tuple[str, Profile]],
    *,
    grid: Grid,
    spec: MonitoringSpec,
    exogenous: frozenset[str],
) -> DriftReport:
    """Compare a window with the sum of earlier ones, and that distance with the same distance of every earlier window.

    Args:
        window: Key of the window.
        current: Its profile.
        past: Earlier windows, oldest first, without the window itself and without held ones.
        grid: The bins of all these profiles.
        spec: Limits.
        exogenous: Features that inform only.

    Raises:
        GridMismatch: A profile was counted on other bins.
    """
    for _, earlier in [*past, (window, current)]:
        if earlier.grid_id != grid.id:
            raise GridMismatch(earlier.grid_id, grid.id)
    profiles = [*(profile for _, profile in past), current]
    first = min(MIN_BASELINE, spec.baseline_windows) + GAP
    if current.rows < spec.min_rows or len(past) < first:
        return DriftReport(window, "insufficient", current.rows, baseline=(), history=0, features=(), score=None)
    slices = [_baseline(index, spec) for index in range(first, len(profiles))]
    history = max(0, len(slices) - 1 - GAP)
    channels = [
        assess_channel(name, profiles, slices, grid=grid, history=history, spec=spec, is_exogenous=name in exogenous)
        for name in (*grid.numeric, *grid.categorical)
        if name not in MONITORED or _is_present(name, [*profiles[slices[-1]], current])
    ]
    outputs = {channel.name: channel for channel in channels if channel.name in MONITORED}
    return DriftReport(
        window=window,
        state=_state(channels, enough_history=history >= spec.min_history),
        rows=current.rows,
        baseline=tuple(key for key, _ in past[slices[-1]]),
        history=history,
        features=tuple(sorted((c for c in channels if c.name not in MONITORED), key=_severity, reverse=True)),
        score=outputs.get(SCORE),
        predicted_class=outputs.get(PREDICTED_CLASS),
    )


def _baseline(index: int, spec: MonitoringSpec) -> slice:
    """Return the windows with which the window at `index` is compared."""
    return slice(max(0, index - GAP - spec.baseline_windows), index - GAP)


def _is_present(name: str, profiles: Sequence[Profile]) -> bool:
    return all(part.column(name).missing_share < 1 for part in profiles)


def _state(channels: Sequence[FeatureDrift], *, enough_history: bool) -> Literal["ok", "insufficient", "alarm"]:
    if any(channel.alarms for channel in channels):
        return "alarm"
    return "ok" if enough_history else "insufficient"


def _severity(drift: FeatureDrift) -> tuple[bool, float]:
    return drift.broken, drift.psi / drift.limit if drift.limit else 0.0
