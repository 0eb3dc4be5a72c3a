"""What a recipe asks of an estimator beyond fitting: weights, constraints, missing values. Refused where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from mlops_assets.training.estimators import Recipe

SIGNS = {"increasing": 1, "decreasing": -1}


class EstimatorCannot(MlopsError):
    """The estimator lacks an ability that the file asks of it."""

    def __init__(self, estimator: str, key: str, *, found: str, required: str) -> None:
        super().__init__(
            f"training.{key} with training.estimator {estimator!r}",
            found=found,
            required=required,
            remedy=f"Choose another estimator, or remove `training.{key}`.",
        )


def constrain(estimator: Any, recipe: Recipe, sources: Sequence[str]) -> None:
    """Bind the columns of monotone features to their direction.

    Args:
        sources: The feature behind each column that the estimator gets.

    Raises:
        EstimatorCannot: It has no such constraints.
    """
    if not recipe.monotone:
        return
    known = estimator.get_params()
    name = next((name for name in ("monotone_constraints", "monotonic_cst") if name in known), None)
    if name is None:
        raise EstimatorCannot(
            recipe.estimator,
            "monotone",
            found="no parameter `monotone_constraints` or `monotonic_cst`",
            required="an estimator with one, such as xgboost or sklearn.HistGradientBoostingClassifier",
        )
    signs = [SIGNS.get(recipe.monotone.get(source, ""), 0) for source in sources]
    estimator.set_params(**{name: f"({','.join(map(str, signs))})" if recipe.is_xgboost else signs})


def require_missing_values(estimator: Any, recipe: Recipe) -> None:
    """Refuse features that are left unfilled for an estimator that fails on missing values.

    Raises:
        EstimatorCannot: It does.
    """
    from sklearn.utils import get_tags

    unfilled = [name for name, settings in recipe.preprocessing.items() if settings.get("impute") == "none"]
    if unfilled and not get_tags(estimator).input_tags.allow_nan:
        raise EstimatorCannot(
            recipe.estimator,
            f"preprocessing.{unfilled[0]}.impute",
            found="an estimator that fails on missing values",
            required="one that takes them, such as xgboost, for `impute: none`",
        )


def fit_arguments(estimator: Any, recipe: Recipe, weights: np.ndarray[Any, Any] | None) -> dict[str, Any]:
    """Return the keywords that hand the weights to `fit`.

    Raises:
        EstimatorCannot: It takes none.
    """
    from sklearn.utils.validation import has_fit_parameter

    if weights is None:
        return {}
    if not has_fit_parameter(estimator, "sample_weight"):
        raise EstimatorCannot(
            recipe.estimator,
            "class_weights" if recipe.class_weights else "sample_weight",
            found="a `fit` without `sample_weight`",
            required="an estimator that takes weights",
        )
    return {"sample_weight": weights}
