"""How much each feature moves a model's scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_assets.training.fit import Fitted


def importances(fitted: Fitted) -> dict[str, float]:
    """Return the share of each feature in the estimator's own importances, largest first; empty if it has none."""
    import numpy as np

    prepare, estimator = fitted.pipeline[0], fitted.pipeline[-1]
    weights = getattr(estimator, "feature_importances_", getattr(estimator, "coef_", None))
    if weights is None:
        return {}
    shares = np.abs(np.asarray(weights, dtype=float)).ravel()
    sums = dict.fromkeys(fitted.signature.features, 0.0)
    for name, share in zip(_sources(prepare, fitted), shares / max(shares.sum(), 1e-300), strict=True):
        sums[name] += float(share)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _sources(prepare: Any, fitted: Fitted) -> list[str]:
    """Return the feature behind each column that the preprocessing puts out."""
    numeric, categorical = fitted.signature.names("numeric"), fitted.signature.names("categorical")
    if not categorical:
        return numeric
    encoder = prepare.named_transformers_["categorical"]
    kept = [len(known) - len(rare) + 1 if rare is not None else len(known) for known, rare in _categories(encoder)]
    return numeric + [name for name, count in zip(categorical, kept, strict=True) for _ in range(count)]


def _categories(encoder: Any) -> zip[tuple[Any, Any]]:
    return zip(encoder.categories_, encoder.infrequent_categories_, strict=True)
