"""Fit a candidate: train rows teach, validation rows stop and choose. The test rows are for the evaluation alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.lake.stored_table import StoredTable
from mlops_assets.predictor.frame import kind_of
from mlops_assets.predictor.scoring import score
from mlops_assets.predictor.signature import Signature
from mlops_assets.stats.metrics import METRICS, TASK_METRICS
from mlops_assets.training.abilities import constrain, fit_arguments, require_missing_values
from mlops_assets.training.calibration import calibrated, recalibrated
from mlops_assets.training.estimators import Recipe, make_estimator, recipe_of
from mlops_assets.training.labels import classes_of
from mlops_assets.training.misfits import require_fit
from mlops_assets.training.pipeline import preprocessing, sources
from mlops_assets.training.rounds import after_each_round, named_losses
from mlops_assets.training.rows import LearningRows, Part, learning_rows, part_of
from mlops_assets.training.split import PARTS, Split, in_time_order, newest, split
from mlops_assets.training.stream import StoredPart, StreamedMatrix, boost, prepared, stored_part
from mlops_assets.training.weights import fitting_weights

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
        table: A training set: `prediction_time`, `label` and a column for each feature. Of a `StoredTable` the train
            rows stay in their file (`training.data: stream`).
        features: Kind of each feature, in the model's order.
        label_delay: How long a label may take to arrive (see `split`).
        search: See `fit`.

    Raises:
        MlopsError: The rows or the estimator do not allow it (`training.errors`).
    """
    parts = split(table, split_spec, task=task, label_delay=label_delay)
    there = [name for name in request_inputs if name in table.column_names]
    kinds: dict[str, Kind] = {name: kind_of(table.schema.field(name).type) for name in there}
    signature = Signature(features, task, tuple(request_inputs), classes_of(table, task), kinds)
    return fit(table, signature=signature, spec=spec, split=parts, search=search)


def fit(
    table: pa.Table, *, signature: Signature, spec: TrainingSpec, split: Split, search: Search | None = None
) -> Fitted:
    """Fit on the train rows of `split` and stop on its validation rows; its test rows are counted, never looked at.

    Args:
        search: Chooses the recipe to learn, given the learning rows and the recipe of the file.
    """
    require_fit(spec, signature)
    recipe = recipe_of(spec)
    rows = learning_rows(table, split, signature, sample_weight=recipe.sample_weight)
    asked = search(rows, recipe) if search else recipe
    learned = learn(rows, asked)
    validation = in_time_order(table.take(split.validation))
    scores = score(learned.pipeline, validation, signature)
    return Fitted(
        pipeline=learned.pipeline,
        signature=signature,
        recipe=learned.recipe,
        split=split,
        metrics=_metrics(rows.validation.y, scores, split, signature.task),
        curves=learned.curves,
        validation_labels=rows.validation.y,
        validation_scores=scores,
        trained_through=newest(validation),
        asked=asked,
    )


def refit(table: pa.Table, recipe: Recipe, *, signature: Signature, candidate: Pipeline) -> Pipeline:
    """Fit the frozen recipe on every row of `table`.

    Args:
        candidate: What the gate judged: its calibration maps are kept, since no row is left to fit new ones on.
    """
    from threadpoolctl import threadpool_limits

    take = stored_part if isinstance(table, StoredTable) else part_of
    part = take(table, signature, sample_weight=recipe.sample_weight)
    with threadpool_limits(recipe.threads):
        prepare, matrix, estimator = _prepared(part, recipe, signature)
        weights = _weighted(estimator, part, recipe, signature)
        if isinstance(matrix, StreamedMatrix):
            boost(estimator, matrix, **weights)
        else:
            estimator.fit(matrix, part.y, **weights)
    return _pipeline(prepare, recalibrated(estimator, candidate) if recipe.calibration else estimator)


def learn(rows: LearningRows, recipe: Recipe, *, on_round: OnRound | None = None) -> Learned:
    """Fit a recipe on the train rows; the validation rows stop and calibrate it.

    Args:
        on_round: Called after each boosting round with its number, from 0, and the losses of it, `<part>_<loss>`; the
            training stops when it returns True.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(
        recipe.threads
    ):  # BLAS and OpenMP take every core otherwise, and another sum on each machine
        return _learn(rows, recipe, on_round)


def _learn(rows: LearningRows, recipe: Recipe, on_round: OnRound | None) -> Learned:
    signature = rows.signature
    prepare, train, estimator = _prepared(rows.train, recipe, signature)
    validation: Any = prepare.transform(rows.validation.frame)
    weights = _weighted(estimator, rows.train, recipe, signature)
    curves: dict[str, list[float]] = {}
    if recipe.is_xgboost:
        callbacks = [after_each_round(on_round)] if on_round else None
        estimator.set_params(early_stopping_rounds=recipe.early_stopping_rounds, callbacks=callbacks)
        _boost(estimator, (train, rows.train), (validation, rows.validation), weights)
        estimator.set_params(callbacks=None)  # they are no part of the model
        recipe, curves = _stopped(recipe, estimator), named_losses(estimator.evals_result())
    else:
        estimator.fit(train, rows.train.y, **weights)
    estimator, method = calibrated(
        estimator, validation, rows.validation, calibration=recipe.calibration, classes=signature.classes
    )
    return Learned(_pipeline(prepare, estimator), replace(recipe, calibration=method), curves)


def _prepared(part: Part | StoredPart, recipe: Recipe, signature: Signature) -> tuple[Any, Any, Any]:
    """Return the fitted preprocessing, what it makes of the rows, and the estimator that can take that."""
    estimator = make_estimator(recipe, signature.task)
    require_missing_values(estimator, recipe)
    prepare = preprocessing(signature, recipe)
    if isinstance(part, StoredPart):
        matrix = prepared(part, prepare, seed=recipe.seed)
    else:
        matrix = prepare.fit_transform(part.frame, part.y)
    constrain(estimator, recipe, sources(prepare))
    return prepare, matrix, estimator


def _weighted(estimator: Any, part: Part | StoredPart, recipe: Recipe, signature: Signature) -> dict[str, Any]:
    weights = fitting_weights(part.y, part.weights, class_weights=recipe.class_weights, classes=signature.classes)
    return fit_arguments(estimator, recipe, weights)


def _boost(
    estimator: Any, train: tuple[Any, Part | StoredPart], validation: tuple[Vector, Part], weights: Mapping[str, Vector]
) -> None:
    """Fit on the train rows; the validation rows stop it. Classes are not weighted where the fit is watched."""
    matrix, part = train
    if isinstance(matrix, StreamedMatrix):
        boost(estimator, matrix, **weights, watched=validation)
        return
    watched = [train, validation]
    own = [one.weights for _, one in watched]
    estimator.fit(
        matrix,
        part.y,
        eval_set=[(columns, one.y) for columns, one in watched],
        sample_weight_eval_set=None if own[0] is None else own,
        verbose=False,
        **weights,
    )


def _pipeline(prepare: Any, estimator: Any) -> Pipeline:
    from sklearn.pipeline import Pipeline

    return Pipeline([("preprocessing", prepare), ("estimator", estimator)])


def _stopped(recipe: Recipe, estimator: Any) -> Recipe:
    stops = recipe.early_stopping_rounds is not None
    rounds = estimator.best_iteration + 1 if stops else estimator.get_booster().num_boosted_rounds()
    return replace(recipe, params={**recipe.params, "n_estimators": rounds}, early_stopping_rounds=None)


def _metrics(y: Vector, scores: Vector, split: Split, task: Task) -> dict[str, float]:
    rows = {f"{part}_rows": float(len(getattr(split, part))) for part in PARTS}
    return rows | {f"validation_{name}": METRICS[name](y, scores) for name in TASK_METRICS[task]}
