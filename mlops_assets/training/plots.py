"""Pictures of a candidate on its validation rows, as small PNG bytes."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.training.fit import Fitted

SIZE_INCHES = (4.5, 3.4)
DOTS_PER_INCH = 90
BARS = 15
POINTS = 2000


def plots(fitted: Fitted) -> dict[str, bytes]:
    """Return PNG bytes by name: ROC and calibration, or residuals; the curves and importances if there are any."""
    drawings = (
        {"roc": _roc, "calibration": _calibration} if fitted.signature.task == "binary" else {"residuals": _residuals}
    )
    if fitted.curves:
        drawings["curves"] = _curves
    if importances(fitted):
        drawings["importance"] = _importance
    return {name: _png(draw, fitted) for name, draw in drawings.items()}


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


def _png(draw: Callable[[Any, Fitted], None], fitted: Fitted) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    draw(figure.add_subplot(), fitted)
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _roc(axes: Any, fitted: Fitted) -> None:
    from sklearn.metrics import roc_curve

    false_alarms, hits, _ = roc_curve(fitted.validation_labels, fitted.validation_scores)
    axes.plot(false_alarms, hits)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    title = f"ROC on validation rows, area {fitted.metrics['validation_roc_auc']:.3f}"
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title=title)


def _calibration(axes: Any, fitted: Fitted) -> None:
    from sklearn.calibration import calibration_curve

    observed, predicted = calibration_curve(
        fitted.validation_labels, fitted.validation_scores, n_bins=10, strategy="quantile"
    )
    axes.plot(predicted, observed, marker="o")
    axes.axline((0, 0), slope=1, color="grey", linestyle=":")
    axes.set(xlabel="mean score", ylabel="observed share", title="Calibration on validation rows")


def _residuals(axes: Any, fitted: Fitted) -> None:
    step = max(1, len(fitted.validation_labels) // POINTS)
    scores = fitted.validation_scores[::step]
    axes.plot(scores, fitted.validation_labels[::step] - scores, ".", markersize=2)
    axes.axhline(0, color="grey", linestyle=":")
    axes.set(xlabel="prediction", ylabel="label - prediction", title="Residuals on validation rows")


def _curves(axes: Any, fitted: Fitted) -> None:
    for name, values in fitted.curves.items():
        axes.plot(values, label=name)
    axes.legend()
    axes.set(xlabel="boosting round", title="Learning curves")


def _importance(axes: Any, fitted: Fitted) -> None:
    top = list(importances(fitted).items())[:BARS][::-1]
    axes.barh([name for name, _ in top], [share for _, share in top])
    axes.tick_params(axis="y", labelsize=7)
    axes.set(xlabel="share of importance", title="Feature importance")
