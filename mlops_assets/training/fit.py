"""Fit a candidate: train rows teach, validation rows stop, test rows are scored once at the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.predictor.frame import feature_frame
from mlops_assets.predictor.scoring import score
from mlops_assets.predictor.signature import Signature
from mlops_assets.stats.metrics import METRICS, TASK_METRICS
from mlops_assets.training.estimators import Recipe, make_estimator, recipe_of
from mlops_assets.training.labels import labels
from mlops_assets.training.pipeline import preprocessing
from mlops_assets.training.rows import LearningRows, learning_rows
from mlops_assets.training.split import PARTS, Split, newest, split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    import numpy as np
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from mlops_assets.predictor.signature import Kind, Task
    from mlops_assets.training.spec import SplitSpec, TrainingSpec

    Vector = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Learned:
    """A fitted pipeline.

    Attributes:
        recipe: Frozen: what validation chose is filled in.
        curves: See `Fitted`.
    """

    pipeline: Pipeline
    recipe: Recipe
    curves: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Fitted:
    """A candidate, and how it came about.

    Attributes:
        recipe: Frozen: the number of rounds is the one that early stopping chose.
        metrics: `<part>_<metric>` of validation and test, and `<part>_rows`.
        curves: Loss of each boosting round, `<part>_<loss>`; empty for other estimators.
        test_labels: Labels of the test rows.
        test_scores: Scores of the test rows.
        trained_through: Newest prediction time that the fit looked at (train or validation).
    """

    pipeline: Pipeline
    signature: Signature
    recipe: Recipe
    split: Split
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    test_labels: Vector
    test_scores: Vector
    trained_through: datetime


def train(
    table: pa.Table,
    *,
    task: Task,
    features: Mapping[str, Kind],
    request_inputs: Sequence[str],
    split_spec: SplitSpec,
    spec: TrainingSpec,
    label_delay: timedelta,
) -> Fitted:
    """Split a training set by time and fit on it; the same input gives the same bytes.

    Args:
        table: A training set: `prediction_time`, `label` and a column for each feature.
        features: Kind of each feature, in the model's order.
        label_delay: How long a label may take to arrive (see `split`).

    Raises:
        MlopsError: The rows or the estimator do not allow it (`training.errors`).
    """
    parts = split(table, split_spec, task=task, label_delay=label_delay)
    return fit(table, signature=Signature(features, task, tuple(request_inputs)), spec=spec, split=parts)


def fit(table: pa.Table, *, signature: Signature, spec: TrainingSpec, split: Split) -> Fitted:
    """Fit on the train rows of `split`, stop on its validation rows, score its test rows."""
    y = labels(table, signature.task)
    learned = learn(learning_rows(table, split, signature), recipe_of(spec))
    scores = {part: score(learned.pipeline, table.take(getattr(split, part)), signature) for part in PARTS[1:]}
    return Fitted(
        pipeline=learned.pipeline,
        signature=signature,
        recipe=learned.recipe,
        split=split,
        metrics=_metrics(y, scores, split, signature.task),
        curves=learned.curves,
        test_labels=y[split.test],
        test_scores=scores["test"],
        trained_through=newest(table.take(split.validation)),
    )


def refit(table: pa.Table, recipe: Recipe, *, signature: Signature) -> Pipeline:
    """Fit the frozen recipe on every row of `table`."""
    from sklearn.pipeline import Pipeline

    estimator = make_estimator(recipe, signature.task)
    steps = [("preprocessing", preprocessing(signature, scale=not recipe.is_xgboost)), ("estimator", estimator)]
    return Pipeline(steps).fit(feature_frame(table, signature), labels(table, signature.task))


def learn(rows: LearningRows, recipe: Recipe) -> Learned:
    """Fit a recipe on the train rows; the validation rows stop it."""
    from sklearn.pipeline import Pipeline

    estimator = make_estimator(recipe, rows.signature.task)
    prepare = preprocessing(rows.signature, scale=not recipe.is_xgboost)
    train = prepare.fit_transform(rows.train.frame)
    curves: dict[str, list[float]] = {}
    if recipe.is_xgboost:
        watched = [(train, rows.train.y), (prepare.transform(rows.validation.frame), rows.validation.y)]
        estimator.set_params(early_stopping_rounds=recipe.early_stopping_rounds)
        estimator.fit(*watched[0], eval_set=watched, verbose=False)
        recipe, curves = _stopped(recipe, estimator), _curves(estimator)
    else:
        estimator.fit(train, rows.train.y)
    return Learned(Pipeline([("preprocessing", prepare), ("estimator", estimator)]), recipe, curves)


def _stopped(recipe: Recipe, estimator: Any) -> Recipe:
    if recipe.early_stopping_rounds is None:
        return recipe
    rounds = {"n_estimators": estimator.best_iteration + 1}
    return replace(recipe, params={**recipe.params, **rounds}, early_stopping_rounds=None)


def _curves(estimator: Any) -> dict[str, list[float]]:
    histories = zip(PARTS, estimator.evals_result().values(), strict=False)
    return {f"{part}_{name}": list(values) for part, losses in histories for name, values in losses.items()}


def _metrics(y: Vector, scores: Mapping[str, Vector], split: Split, task: Task) -> dict[str, float]:
    rows = {f"{part}_rows": float(len(getattr(split, part))) for part in PARTS}
    return rows | {
        f"{part}_{name}": METRICS[name](y[getattr(split, part)], scores[part])
        for part in scores
        for name in TASK_METRICS[task]
    }
