"""The preprocessing in front of an estimator: what the file says of each feature, the rest inferred from its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from mlops_assets.predictor.tables import widths
from mlops_assets.training.weights import BINARY_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sklearn.compose import ColumnTransformer

    from mlops_assets.predictor.signature import Signature
    from mlops_assets.training.estimators import Recipe

RAREST_CATEGORY = 20  # rows; rarer ones share one column, which unseen categories take too
MOST_CATEGORIES = 64
FOLDS = 5  # of target encoding: a row is encoded by the labels of the other folds


def preprocessing(signature: Signature, recipe: Recipe) -> ColumnTransformer:
    """Return the unfitted transformer; features that are prepared alike share one."""
    from sklearn.compose import ColumnTransformer

    groups: dict[tuple[Any, ...], list[str]] = {}
    for kind in ("numeric", "categorical"):
        for feature in signature.names(kind):
            groups.setdefault((kind, *_settings(kind, feature, recipe).items()), []).append(feature)
    transformers = [
        (f"{kind}_{number}", _transformer(kind, dict(settings), signature, recipe.seed), features)
        for number, ((kind, *settings), features) in enumerate(groups.items())
    ]
    return ColumnTransformer(transformers, sparse_threshold=0, verbose_feature_names_out=False)


def sources(prepare: Any) -> list[str]:
    """Return the feature behind each column that the fitted transformer puts out."""
    return [
        feature
        for _, transformer, features in prepare.transformers_
        for feature, width in zip(features, widths(transformer, features), strict=True)
        for _ in range(width)
    ]


def _settings(kind: str, feature: str, recipe: Recipe) -> dict[str, Any]:
    inferred: dict[str, Any] = (
        {"impute": "median", "scale": "none" if recipe.is_xgboost else "standard"}
        if kind == "numeric"
        else {"encode": "one_hot", "rarest": RAREST_CATEGORY, "most": MOST_CATEGORIES}
    )
    return {**inferred, **recipe.preprocessing.get(feature, {})}


def _transformer(kind: str, settings: Mapping[str, Any], signature: Signature, seed: int) -> Any:
    return _numbers(settings) if kind == "numeric" else _categories(settings, signature, seed)


def _numbers(settings: Mapping[str, Any]) -> Any:
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    scalers = {"standard": StandardScaler, "robust": RobustScaler, "min_max": MinMaxScaler}
    steps: list[Any] = []
    if settings["impute"] != "none":
        fill = settings.get("fill")
        steps.append(SimpleImputer(strategy=settings["impute"], fill_value=fill, keep_empty_features=True))
    if settings["scale"] != "none":
        steps.append(scalers[settings["scale"]]())
    return (steps[0] if len(steps) == 1 else make_pipeline(*steps)) if steps else "passthrough"


def _categories(settings: Mapping[str, Any], signature: Signature, seed: int) -> Any:
    import numpy as np
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    match settings["encode"]:
        case "target":
            return _target_encoder(signature, seed)
        case "ordinal":
            return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        case _:
            return OneHotEncoder(
                handle_unknown="infrequent_if_exist",
                min_frequency=settings["rarest"],
                max_categories=settings["most"],
                sparse_output=False,  # XGBoost reads an absent entry of a sparse matrix as missing, not as 0
                dtype=cast("Any", np.float32),
            )


def _target_encoder(signature: Signature, seed: int) -> Any:
    """Return an encoder by the mean label; of several classes one column for each (Micci-Barreca 2001)."""
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import TargetEncoder

    if signature.task == "regression":  # said, not inferred: whole numbers would pass for classes
        return TargetEncoder(target_type="continuous", cv=cast("Any", KFold(FOLDS, shuffle=True, random_state=seed)))
    folds: Any = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    is_binary = len(signature.classes or BINARY_CLASSES) == len(BINARY_CLASSES)
    return TargetEncoder(target_type="binary" if is_binary else "multiclass", cv=folds)
