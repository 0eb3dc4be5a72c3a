"""Decide what one window's drift calls for: a look by a person, a new model, or nothing.

A broken or sudden change is taken for a fault until a person says otherwise: a model trained on it would learn it.
A change that lasts is taken for the world. Scores alone are never called sudden: when no input is, they answer the
world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING

from mlops_assets.monitoring.drift import RECENT_WINDOWS

if TYPE_CHECKING:
    from mlops_assets.monitoring.channel import FeatureDrift
    from mlops_assets.monitoring.drift import DriftReport
    from mlops_assets.monitoring.spec import MonitoringSpec

LASTING = 2  # of the last RECENT_WINDOWS, this one included


@dataclass(frozen=True)
class Retrain:
    """The world changed and stays changed."""

    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Investigate:
    """This looks like a fault: keep the window out of training data, and ask a person."""

    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Hold:
    """Nothing to do, or nothing yet."""

    reasons: tuple[str, ...]


Triage = Retrain | Investigate | Hold


def triage(report: DriftReport, recent: Sequence[DriftReport], *, spec: MonitoringSpec) -> Triage:
    """Decide on a window.

    Args:
        report: Drift of the window.
        recent: Reports of the windows before it, oldest first, without held ones; only the last two count.
        spec: Says from which ratio on a change is sudden.
    """
    if report.state == "insufficient":
        return Hold(
            (f"{report.window}: {report.rows} rows and {report.history} earlier distances are too few to judge",)
        )
    if faults := tuple(_fault(feature, spec) for feature in report.features if _is_fault(feature, spec)):
        return Investigate(faults)
    drifted = tuple(_drift(channel) for channel in report.channels if channel.alarms)
    if not drifted:
        return Hold((f"{report.window}: {_exogenous(report) or 'every feature is within its history'}",))
    lasting = [earlier.window for earlier in recent[1 - RECENT_WINDOWS :] if _has_drifted(earlier)] + [report.window]
    if len(lasting) >= LASTING:
        return Retrain((*drifted, f"in {len(lasting)} of the last {RECENT_WINDOWS} windows ({', '.join(lasting)})"))
    return Hold((*drifted, f"in 1 of the last {RECENT_WINDOWS} windows (a lasting change takes {LASTING})"))


def _is_fault(feature: FeatureDrift, spec: MonitoringSpec) -> bool:
    return feature.alarms and (feature.broken or (feature.ratio or 0.0) > spec.sudden_ratio)


def _has_drifted(report: DriftReport) -> bool:
    return any(channel.alarms for channel in report.channels)


def _fault(feature: FeatureDrift, spec: MonitoringSpec) -> str:
    if "missing values" in feature.faults:
        return f"{feature.name}: missing in {feature.missing_share:.1%} of rows, {feature.missing_jump:+.1%} on the baseline"
    if "new categories" in feature.faults:
        return f"{feature.name}: {feature.new_category_share:.2%} of rows are in categories never seen"
    if "scale" in feature.faults:
        change = f"mean off by {feature.shift:.2g} standard deviations, spread by a factor of {exp(feature.spread):.2f}"
        return f"{feature.name}: {change}, as never before (a change of unit?)"
    return f"{_drift(feature)}: sudden, {feature.ratio:.1f} times the largest before (limit {spec.sudden_ratio:g})"


def _drift(channel: FeatureDrift) -> str:
    return f"{channel.name}: PSI {channel.psi:.3f} is above its own limit {channel.limit:.3f}"


def _exogenous(report: DriftReport) -> str:
    names = ", ".join(feature.name for feature in report.features if feature.exceeded or feature.broken)
    return f"only exogenous features left their history ({names})" if names else ""
