"""How much each feature moves a model's scores.

XGBoost says it itself: Shapley values of a sample of validation rows (Lundberg et al. 2020), its gain where it has none.
Other estimators give their own importances or coefficients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.calibration import bare_estimator
from mlops_assets.predictor.estimate import is_xgboost
from mlops_assets.predictor.frame import feature_frame
from mlops_assets.training.pipeline import sources

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.training.fit import Fitted

    Vector = np.ndarray[Any, Any]

ROWS = 2000


def importances(fitted: Fitted, table: pa.Table) -> dict[str, float]:
    """Return the share of each feature, the largest first; empty if the estimator has no importances.

    Args:
        table: The training set that it was fitted on.
    """
    estimator = bare_estimator(fitted.pipeline[-1])
    by_feature = _shap(fitted, estimator, table) if is_xgboost(estimator) else _own(fitted, estimator)
    total = max(sum(by_feature.values()), 1e-300)
    return dict(sorted(((name, value / total) for name, value in by_feature.items()), key=lambda item: -item[1]))


def _shap(fitted: Fitted, estimator: Any, table: pa.Table) -> dict[str, float]:
    """Return the mean absolute contribution of each feature; the columns of one feature count together in each row."""
    import numpy as np
    import xgboost

    prepare, features = fitted.pipeline[0], list(fitted.signature.features)
    matrix = prepare.transform(feature_frame(_sample(fitted, table), fitted.signature))
    rounds = (0, getattr(estimator, "best_iteration", -1) + 1)  # (0, 0) means all
    try:
        of_columns = estimator.get_booster().predict(
            xgboost.DMatrix(matrix), pred_contribs=True, iteration_range=rounds, strict_shape=True
        )
    except xgboost.core.XGBoostError:
        return _own(fitted, estimator)
    belongs = np.equal.outer(sources(prepare), features)
    of_features = np.abs(of_columns[..., :-1] @ belongs).mean(axis=0).sum(axis=0)  # the last column is the bias
    return dict(zip(features, of_features.tolist(), strict=True))


def _own(fitted: Fitted, estimator: Any) -> dict[str, float]:
    """Return the importances or coefficients of the estimator; none if it has none, or not one a column."""
    import numpy as np

    weights = getattr(estimator, "feature_importances_", getattr(estimator, "coef_", None))
    columns = sources(fitted.pipeline[0])
    if weights is None or np.shape(weights)[-1] != len(columns):
        return {}
    values = np.atleast_2d(np.abs(np.asarray(weights, dtype=float))).sum(axis=0)  # over the classes, if it has several
    sums = dict.fromkeys(fitted.signature.features, 0.0)
    for name, value in zip(columns, values.tolist(), strict=True):
        sums[name] += value
    return sums


def _sample(fitted: Fitted, table: pa.Table) -> pa.Table:
    import numpy as np

    rows = fitted.split.validation
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(fitted.recipe.seed).choice(rows, ROWS, replace=False))
    return table.take(rows)
