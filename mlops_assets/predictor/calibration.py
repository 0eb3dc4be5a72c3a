"""Calibration of probabilities as plain numbers: Platt's sigmoid or an isotonic step line for each class.

They are read from scikit-learn's `CalibratedClassifierCV` around a frozen estimator, and give what it gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Matrix = np.ndarray[Any, Any]


class Platt(msgspec.Struct, frozen=True, tag="platt"):
    """`1 / (1 + exp(slope * p + intercept))` (Platt 1999)."""

    slope: float
    intercept: float


class Isotonic(msgspec.Struct, frozen=True, tag="isotonic"):
    """A line through points, flat beyond its ends (Zadrozny and Elkan 2002)."""

    x: tuple[float, ...]
    y: tuple[float, ...]


Map = Platt | Isotonic


def bare_estimator(estimator: Any) -> Any:
    """Return the estimator inside a calibrated one, or the estimator itself.

    >>> bare_estimator("no calibration")
    'no calibration'
    """
    calibrated = getattr(estimator, "calibrated_classifiers_", None)
    if calibrated is None:
        return estimator
    inner = calibrated[0].estimator
    return getattr(inner, "estimator", inner) if type(inner).__name__ == "FrozenEstimator" else inner


def maps_of(estimator: Any) -> tuple[Map, ...]:
    """Return the maps of a calibrated estimator: one for the positive class of two, else one a class; none if it has none."""
    calibrated = getattr(estimator, "calibrated_classifiers_", None)
    return () if calibrated is None else tuple(_map(one) for one in calibrated[0].calibrators)


def calibrate(maps: Sequence[Map], probabilities: Matrix) -> Matrix:
    """Return the calibrated probabilities, one column a class, as scikit-learn normalises them."""
    import numpy as np

    if not maps:
        return probabilities
    if len(maps) == 1:
        positive = _applied(maps[0], probabilities[:, 1])
        return np.column_stack([1 - positive, positive])
    made = np.column_stack([_applied(one, column) for one, column in zip(maps, probabilities.T, strict=True)])
    total = made.sum(axis=1, keepdims=True)
    even = np.full_like(made, 1 / made.shape[1])
    return np.clip(np.divide(made, total, out=even, where=total != 0), 0, 1)


def _map(calibrator: Any) -> Map:
    if hasattr(calibrator, "X_thresholds_"):
        return Isotonic(tuple(map(float, calibrator.X_thresholds_)), tuple(map(float, calibrator.y_thresholds_)))
    return Platt(float(calibrator.a_), float(calibrator.b_))


def _applied(one: Map, p: Matrix) -> Matrix:
    import numpy as np
    from scipy.special import expit

    p = p.astype(np.float64)
    return expit(-(one.slope * p + one.intercept)) if isinstance(one, Platt) else np.interp(p, one.x, one.y)
