"""How much each feature moves a model's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.predictor.calibration import bare_estimator
from mlops_assets.training.pipeline import sources

if TYPE_CHECKING:
    from mlops_assets.training.fit import Fitted


def importances(fitted: Fitted) -> dict[str, float]:
    """Return the share of each feature in the estimator's own importances, largest first; empty if it has none."""
    import numpy as np

    prepare, estimator = fitted.pipeline[0], bare_estimator(fitted.pipeline[-1])
    weights = getattr(estimator, "feature_importances_", getattr(estimator, "coef_", None))
    if weights is None:
        return {}
    shares = np.atleast_2d(np.abs(np.asarray(weights, dtype=float))).sum(axis=0)  # over the classes, if it has several
    sums = dict.fromkeys(fitted.signature.features, 0.0)
    for name, share in zip(sources(prepare), shares / max(shares.sum(), 1e-300), strict=True):
        sums[name] += float(share)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
