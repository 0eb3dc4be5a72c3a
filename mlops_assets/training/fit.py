"""Fit a candidate: train rows teach, validation rows stop and choose. The test rows are for the evaluation alone."""

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
from mlops_assets.training.rounds import after_each_round, named_losses
from mlops_assets.training.rows import LearningRows, learning_rows
from mlops_assets.training.split import PARTS, Split, newest, split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    import numpy as np
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from mlops_assets.predictor.signature import Kind, Task
    from mlops_assets.training.spec import SplitSpec, TrainingSpec

    Vector = np.ndarray[Any, Any]
    Search = Callable[[LearningRows, Recipe], Recipe]
    OnRound = Callable[[int, Mapping[str, float]], bool]


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
        metrics: `validation_<metric>`, and `<part>_rows`.
        curves: Loss of each boosting round, `<part>_<loss>`; empty for other estimators.
        validation_labels: Labels of the validation rows.
        validation_scores: Scores of the validation rows, as the finished pipeline gives them.
        trained_through: Newest prediction time that the fit looked at (train or validation).
        asked: The recipe as it went into the fit: with it and the same rows, the same bytes come out.
    """

    pipeline: Pipeline
    signature: Signature
    recipe: Recipe
    split: Split
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    validation_labels: Vector
    validation_scores: Vector
    trained_through: datetime
    asked: Recipe


def train(
    table: pa.Table,
    *,
    task: Task,
    features: Mapping[str, Kind],
    request_inputs: Sequence[str],
    split_spec: SplitSpec,
    spec: TrainingSpec,
    label_delay: timedelta,
    search: Search | None = None,
) -> Fitted:
    """Split a training set by time and fit on it; the same input gives the same bytes.

    Args:
        table: A training set: `prediction_time`, `label` and a column for each feature.
        features: Kind of each feature, in the model's order.
        label_delay: How long a label may take to arrive (see `split`).
        search: See `fit`.

    Raises:
        MlopsError: The rows or the estimator do not allow it (`training.errors`).
    """
    parts = split(table, split_spec, task=task, label_delay=label_delay)
    signature = Signature(features, task, tuple(request_inputs))
    return fit(table, signature=signature, spec=spec, split=parts, search=search)


def fit(
    table: pa.Table, *, signature: Signature, spec: TrainingSpec, split: Split, search: Search | None = None
) -> Fitted:
    """Fit on the train rows of `split` and stop on its validation rows; its test rows are counted, never looked at.

    Args:
        search: Chooses the recipe to learn, given the learning rows and the recipe of the file.
    """
    rows, recipe = learning_rows(table, split, signature), recipe_of(spec)
    asked = search(rows, recipe) if search else recipe
    learned = learn(rows, asked)
    scores = score(learned.pipeline, table.take(split.validation), signature)
    return Fitted(
        pipeline=learned.pipeline,
        signature=signature,
        recipe=learned.recipe,
        split=split,
        metrics=_metrics(rows.validation.y, scores, split, signature.task),
        curves=learned.curves,
        validation_labels=rows.validation.y,
        validation_scores=scores,
        trained_through=newest(table.take(split.validation)),
        asked=asked,
    )


def refit(table: pa.Table, recipe: Recipe, *, signature: Signature) -> Pipeline:
    """Fit the frozen recipe on every row of `table`."""
    from sklearn.pipeline import Pipeline

    estimator = make_estimator(recipe, signature.task)
    steps = [("preprocessing", preprocessing(signature, scale=not recipe.is_xgboost)), ("estimator", estimator)]
    return Pipeline(steps).fit(feature_frame(table, signature), labels(table, signature.task))


def learn(rows: LearningRows, recipe: Recipe, *, on_round: OnRound | None = None) -> Learned:
    """Fit a recipe on the train rows; the validation rows stop it.

    Args:
        on_round: Called after each boosting round with its number, from 0, and the losses of it, `<part>_<loss>`; the
            training stops when it returns True.
    """
    from sklearn.pipeline import Pipeline

    estimator = make_estimator(recipe, rows.signature.task)
    prepare = preprocessing(rows.signature, scale=not recipe.is_xgboost)
    train = prepare.fit_transform(rows.train.frame)
    curves: dict[str, list[float]] = {}
    if recipe.is_xgboost:
        watched = [(train, rows.train.y), (prepare.transform(rows.validation.frame), rows.validation.y)]
        callbacks = [after_each_round(on_round)] if on_round else None
        estimator.set_params(early_stopping_rounds=recipe.early_stopping_rounds, callbacks=callbacks)
        estimator.fit(*watched[0], eval_set=watched, verbose=False)
        estimator.set_params(callbacks=None)  # they are no part of the model
        recipe, curves = _stopped(recipe, estimator), named_losses(estimator.evals_result())
    else:
        estimator.fit(train, rows.train.y)
    return Learned(Pipeline([("preprocessing", prepare), ("estimator", estimator)]), recipe, curves)


def _stopped(recipe: Recipe, estimator: Any) -> Recipe:
    stops = recipe.early_stopping_rounds is not None
    rounds = estimator.best_iteration + 1 if stops else estimator.get_booster().num_boosted_rounds()
    return replace(recipe, params={**recipe.params, "n_estimators": rounds}, early_stopping_rounds=None)


def _metrics(y: Vector, scores: Vector, split: Split, task: Task) -> dict[str, float]:
    rows = {f"{part}_rows": float(len(getattr(split, part))) for part in PARTS}
    return rows | {f"validation_{name}": METRICS[name](y, scores) for name in TASK_METRICS[task]}
