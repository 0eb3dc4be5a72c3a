"""Calibration of a classifier's probabilities on validation rows: isotonic, Platt's sigmoid, or whichever does best.

A calibrated estimator is scikit-learn's `CalibratedClassifierCV` around the frozen one; `predictor.calibration` reads it.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.stats.metrics import METRICS
from mlops_assets.training.weights import BINARY_CLASSES

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline

    from mlops_assets.training.rows import Part

    Matrix = np.ndarray[Any, Any]

METHODS = {"platt": "sigmoid", "isotonic": "isotonic"}  # the simpler one first: it wins a tie
LEAST_ROWS = 5  # of each class, as CalibratedClassifierCV asks


class TooFewToCalibrate(MlopsError):
    """A class has too few validation rows to fit a calibration on."""

    def __init__(self, calibration: str, *, rows: int, label: str) -> None:
        where = "the earlier half of validation" if calibration == "auto" else "validation"
        super().__init__(
            f"training.calibration: {calibration}",
            found=f"{rows} rows of class {label} in {where}",
            required=f"at least {LEAST_ROWS} rows of positive weight of each class",
            remedy="Lengthen `split.validation_days`, or remove `training.calibration`.",
        )


def calibrated(
    estimator: Any, matrix: Matrix, part: Part, *, calibration: str | None, classes: tuple[str, ...]
) -> tuple[Any, str | None]:
    """Return the estimator, calibrated on validation rows, and the method that was taken.

    Args:
        matrix: The prepared validation rows, in time order.
        calibration: `isotonic`, `platt`, None, or `auto`: each of them fitted on the earlier half of the rows, the one of
            least log loss on the later half fitted again on all.

    Raises:
        TooFewToCalibrate: A class has fewer than `LEAST_ROWS` rows to fit on.
    """
    if calibration is None:
        return estimator, None
    weights = part.weights
    names = classes or BINARY_CLASSES
    earlier = slice(len(part.y) // 2) if calibration == "auto" else slice(None)
    _require_rows(part.y[earlier], None if weights is None else weights[earlier], names, calibration)
    method = _best(estimator, matrix, part, classes) if calibration == "auto" else calibration
    return _fitted(estimator, method, matrix, part.y, weights), method


def recalibrated(estimator: Any, candidate: Pipeline) -> Any:
    """Return an estimator with the calibration maps of a candidate: what was fitted on all rows has none left to fit maps on."""
    from sklearn.frozen import FrozenEstimator

    made: Any = copy.copy(candidate[-1])
    [maps] = made.calibrated_classifiers_
    made.estimator, made.n_features_in_ = FrozenEstimator(estimator), estimator.n_features_in_
    made.calibrated_classifiers_ = [copy.copy(maps)]
    made.calibrated_classifiers_[0].estimator = made.estimator
    return made


def _require_rows(y: Matrix, weights: Matrix | None, classes: tuple[str, ...], calibration: str) -> None:
    import numpy as np

    counts = np.bincount((y if weights is None else y[weights > 0]).astype(int), minlength=len(classes))
    if counts.min() < LEAST_ROWS:
        raise TooFewToCalibrate(calibration, rows=int(counts.min()), label=classes[int(counts.argmin())])


def _best(estimator: Any, matrix: Matrix, part: Part, classes: tuple[str, ...]) -> str | None:
    import numpy as np

    half = len(part.y) // 2
    weights = np.ones(len(part.y)) if part.weights is None else part.weights

    def loss(method: str | None) -> float:
        one = _fitted(estimator, method, matrix[:half], part.y[:half], weights[:half])
        scores = one.predict_proba(matrix[half:]).astype(np.float64)
        return METRICS["log_loss"].prepare(part.y[half:], scores if classes else scores[:, 1])(weights[half:])

    return min((None, *METHODS), key=loss)


def _fitted(estimator: Any, method: str | None, matrix: Matrix, y: Matrix, weights: Matrix | None) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    if method is None:
        return estimator
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Since FrozenEstimator does not appear to accept sample_weight")
        return CalibratedClassifierCV(FrozenEstimator(estimator), method=METHODS[method]).fit(
            matrix, y, sample_weight=weights
        )
