"""From the estimator named in a file to an unfitted object.

Add here: a further form of name. Keep out: fitting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mlops_assets.training.errors import NoProbabilities, UnknownEstimator
from mlops_assets.training.xgboost_params import unknown_params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.predictor.signature import Task
    from mlops_assets.training.spec import TrainingSpec

XGBOOST_DEFAULTS: dict[str, Any] = {
    "n_estimators": 300,
    "learning_rate": 0.1,
    "max_depth": 5,
    "min_child_weight": 5,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "tree_method": "hist",
}
SKLEARN_MODULES = ("linear_model", "ensemble", "tree", "neighbors", "naive_bayes", "svm", "neural_network", "dummy")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a fit besides the rows: enough to do it again.

    Attributes:
        early_stopping_rounds: Rounds without gain on validation before XGBoost stops; None once the rounds are chosen.
        preprocessing: What the file says of single features, by feature and key.
        class_weights: `balanced`, or the weight of each label.
        sample_weight: Column of the training set with the weight of each row.
        monotone: `increasing` or `decreasing`, by feature.
        calibration: `isotonic`, `platt`, or None; `auto` until it is chosen.
    """

    estimator: str
    params: Mapping[str, Any]
    seed: int
    threads: int
    early_stopping_rounds: int | None = None
    preprocessing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])
    class_weights: str | Mapping[str, float] | None = None
    sample_weight: str | None = None
    monotone: Mapping[str, str] = field(default_factory=dict[str, str])
    calibration: str | None = None

    @property
    def is_xgboost(self) -> bool:
        return self.estimator == "xgboost"


def recipe_of(spec: TrainingSpec) -> Recipe:
    """Fill the defaults in."""
    defaults = XGBOOST_DEFAULTS if spec.estimator == "xgboost" else {}
    return Recipe(
        estimator=spec.estimator,
        params={**defaults, **spec.params},
        seed=spec.seed,
        threads=spec.threads,
        early_stopping_rounds=spec.early_stopping_rounds if spec.estimator == "xgboost" else None,
        preprocessing={name: one.model_dump(exclude_none=True) for name, one in spec.preprocessing.items()},
        class_weights=spec.class_weights,
        sample_weight=spec.sample_weight,
        monotone=spec.monotone,
        calibration=spec.calibration,
    )


def make_estimator(recipe: Recipe, task: Task) -> Any:
    """Return the unfitted estimator, seeded, on the recipe's number of threads.

    Raises:
        UnknownEstimator: It cannot be found or built.
        NoProbabilities: A classifier predicts classes only, and no calibration makes probabilities of its decisions.
    """
    try:
        estimator = _factory(recipe.estimator, task)(**recipe.params)
        known = estimator.get_params()
        ours = {"random_state": recipe.seed}
        if recipe.is_xgboost or recipe.threads > 1:  # XGBoost takes all cores by default, scikit-learn one
            ours["n_jobs"] = recipe.threads
        estimator.set_params(**{name: value for name, value in ours.items() if name in known})
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UnknownEstimator(recipe.estimator, found=f"{type(error).__name__}: {error}") from error
    if recipe.is_xgboost and (unknown := unknown_params(recipe.params)):
        raise UnknownEstimator(recipe.estimator, found=f"no parameter {', '.join(unknown)}")
    speaks = "decision_function" if recipe.calibration in ("isotonic", "platt") else "predict_proba"
    if task != "regression" and not (hasattr(estimator, "predict_proba") or hasattr(estimator, speaks)):
        raise NoProbabilities(recipe.estimator, task)
    return estimator


def _factory(name: str, task: Task) -> Any:
    if name == "xgboost":
        import xgboost

        return xgboost.XGBRegressor if task == "regression" else xgboost.XGBClassifier
    if ":" in name:
        module, attribute = name.split(":")
        return getattr(import_module(module), attribute)
    return _sklearn_class(name)


def _sklearn_class(name: str) -> Any:
    module, class_name = name.rsplit(".", 1)
    modules = [module] if "." in module else [f"sklearn.{part}" for part in SKLEARN_MODULES]
    for candidate in map(import_module, modules):
        if hasattr(candidate, class_name):
            return getattr(candidate, class_name)
    raise AttributeError(f"no class {class_name} in {', '.join(modules)}")
