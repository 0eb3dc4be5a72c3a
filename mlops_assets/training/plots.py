"""Pictures of scores against labels, and of a training, as small PNG bytes.

Add here: a picture that every model of a task deserves. Keep out: which rows it shows; whoever asks says so in `part`.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np

    from mlops_assets.predictor.signature import Task

    Vector = np.ndarray[Any, Any]
    Draw = Callable[[Any], None]

SIZE_INCHES = (4.5, 3.4)
DOTS_PER_INCH = 90
BARS = 15
POINTS = 2000
MOST_CURVES = 8
MOST_NUMBERS = 8  # a larger confusion matrix shows colours alone
BINS = 10
DARK = 0.5  # share from which on the blue needs white numbers


def score_plots(y: Vector, scores: Vector, *, task: Task, classes: Sequence[str], part: str) -> dict[str, bytes]:
    """Return PNG bytes by name, `<part>_<picture>`: confusion, ROC, PR and calibration, or residuals.

    Args:
        y: Labels; of a multiclass model positions in `classes`.
        scores: As `predictor.scoring.score` gives them.
        classes: Labels of a multiclass model; empty otherwise.
        part: Which rows these are, for names and titles.
    """
    if task == "regression":
        return {f"{part}_residuals": png(lambda axes: _residuals(axes, y, scores, part))}
    table = scores if task == "multiclass" else _both(scores)
    names = list(classes) or ["0", "1"]
    curves = list(_one_against_rest(y, table, names)) if task == "multiclass" else [("", y == 1, scores)]
    drawings: dict[str, Draw] = {
        "confusion": lambda axes: _confusion(axes, y, table, names, part),
        "roc": lambda axes: _roc(axes, curves, part),
        "pr": lambda axes: _precision_recall(axes, curves, part),
        "calibration": lambda axes: _calibration(axes, *_confidence(y, scores, task), part),
    }
    return {f"{part}_{name}": png(draw) for name, draw in drawings.items()}


def training_plots(curves: Mapping[str, Sequence[float]], shares: Mapping[str, float]) -> dict[str, bytes]:
    """Return `curves` and `importance`, each if there is something to show.

    Args:
        curves: Loss of each boosting round, by name.
        shares: Importance of each feature, the largest first.
    """
    drawings: dict[str, Draw] = {}
    if curves:
        drawings["curves"] = lambda axes: _curves(axes, curves)
    if shares:
        drawings["importance"] = lambda axes: _importance(axes, shares)
    return {name: png(draw) for name, draw in drawings.items()}


def png(draw: Draw) -> bytes:
    """Return what `draw` puts on one pair of axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    draw(figure.add_subplot())
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _both(scores: Vector) -> Vector:
    import numpy as np

    return np.column_stack([1 - scores, scores])


def _one_against_rest(y: Vector, scores: Vector, names: list[str]) -> Iterator[tuple[str, Vector, Vector]]:
    """Yield name, labels and scores of the most frequent classes; one that no row has cannot be drawn."""
    import numpy as np

    counts = np.bincount(y.astype(int), minlength=len(names))
    for place in np.argsort(-counts, kind="stable")[:MOST_CURVES]:
        if 0 < counts[place] < len(y):
            yield names[place], y == place, scores[:, place]


def _confidence(y: Vector, scores: Vector, task: Task) -> tuple[Vector, Vector]:
    """Return what happened and how likely it was said to be: the positive class, or the top class being right."""
    return (y, scores) if task == "binary" else (scores.argmax(axis=1) == y, scores.max(axis=1))


def _confusion(axes: Any, y: Vector, scores: Vector, names: list[str], part: str) -> None:
    import numpy as np
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(y.astype(int), scores.argmax(axis=1), labels=range(len(names)))
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    is_large = len(names) > MOST_NUMBERS
    for (row, column), count in [] if is_large else np.ndenumerate(matrix):
        color = "white" if shares[row, column] > DARK else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), names, rotation=90 if is_large else 0)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=7)
    axes.set(xlabel="likeliest class", ylabel="label", title=f"Confusion on {part} rows")


def _roc(axes: Any, curves: Sequence[tuple[str, Vector, Vector]], part: str) -> None:
    from sklearn.metrics import auc, roc_curve

    for name, y, scores in curves:
        false_alarms, hits, _ = roc_curve(y, scores)
        axes.plot(false_alarms, hits, label=f"{name} {auc(false_alarms, hits):.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.legend(title="area", fontsize=7)
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC on {part} rows")


def _precision_recall(axes: Any, curves: Sequence[tuple[str, Vector, Vector]], part: str) -> None:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    for name, y, scores in curves:
        precision, recall, _ = precision_recall_curve(y, scores, drop_intermediate=True)
        (line,) = axes.step(recall, precision, where="post", label=f"{name} {average_precision_score(y, scores):.3f}")
        axes.axhline(y.mean(), color=line.get_color(), linestyle=":", linewidth=0.8)  # what chance gives
    axes.legend(title="average precision", fontsize=7)
    axes.set(xlabel="recall", ylabel="precision", title=f"Precision and recall on {part} rows")


def _calibration(axes: Any, happened: Vector, said: Vector, part: str) -> None:
    from sklearn.calibration import calibration_curve

    observed, predicted = calibration_curve(happened, said, n_bins=BINS, strategy="quantile")
    axes.plot(predicted, observed, marker="o")
    axes.axline((0, 0), slope=1, color="grey", linestyle=":")
    axes.set(xlabel="mean score", ylabel="observed share", title=f"Calibration on {part} rows")


def _residuals(axes: Any, y: Vector, scores: Vector, part: str) -> None:
    step = max(1, len(y) // POINTS)
    axes.plot(scores[::step], (y - scores)[::step], ".", markersize=2)
    axes.axhline(0, color="grey", linestyle=":")
    axes.set(xlabel="prediction", ylabel="label - prediction", title=f"Residuals on {part} rows")


def _curves(axes: Any, curves: Mapping[str, Sequence[float]]) -> None:
    for name, values in curves.items():
        axes.plot(values, label=name)
    axes.legend()
    axes.set(xlabel="boosting round", title="Learning curves")


def _importance(axes: Any, shares: Mapping[str, float]) -> None:
    top = list(shares.items())[:BARS][::-1]
    axes.barh([name for name, _ in top], [share for _, share in top])
    axes.tick_params(axis="y", labelsize=7)
    axes.set(xlabel="share of importance", title="Feature importance")
