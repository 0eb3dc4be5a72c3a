"""Search for the parameters of a recipe: every trial learns from train rows and is judged by validation rows."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.stats.metrics import METRICS, TASK_METRICS
from mlops_assets.training.tuning_choices import SLOT
from mlops_assets.training.tuning_record import close_killed, record
from mlops_assets.training.tuning_study import ERROR, held_study, value_of, was_killed
from mlops_assets.training.tuning_trial import Trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from mlops_assets.predictor.signature import Task
    from mlops_assets.stats.metrics import Metric, MetricName
    from mlops_assets.training.estimators import Recipe
    from mlops_assets.training.rows import LearningRows
    from mlops_assets.training.tracked_run import TrackedRun
    from mlops_assets.training.tuning_spec import TuningSpec


class WrongTuningMetric(MlopsError):
    """The metric of the search does not exist for the model's task."""

    def __init__(self, metric: str, task: Task) -> None:
        super().__init__(
            f"training.tuning.metric of a {task} model",
            found=repr(metric),
            required=f"one of {', '.join(TASK_METRICS[task])}",
            remedy="Correct it, or remove it to take the metric of the gate.",
        )


class NoTrialSucceeded(MlopsError):
    """No trial has a value, so there is nothing to choose from."""

    def __init__(self, study_name: str, *, trials: int, error: str) -> None:
        super().__init__(
            f"tuning study {study_name}",
            found=f"{trials} trials without a value, the last failure: {error}",
            required="one trial that runs through",
            remedy="Correct `training.tuning` or `training.params`; the nested runs in MLflow say what each trial tried. "
            "The next run tries them all again.",
        )


def search(
    rows: LearningRows,
    recipe: Recipe,
    spec: TuningSpec,
    *,
    metric: MetricName,
    storage: str,
    study_name: str,
    run: TrackedRun,
) -> Recipe:
    """Return the recipe with the parameters of the best trial; a search that was cut off goes on where it was.

    Args:
        recipe: What the parameters of each trial override.
        metric: What is measured on the validation rows.
        storage: See `tuning_study.storage_of`.
        study_name: The same for the same search only: rows, recipe, space and metric.
        run: Where the trials are nested and the outcome is logged.

    Raises:
        MlopsError: The metric or a parameter does not exist, no trial succeeded, or another process holds the study.
    """
    if metric not in TASK_METRICS[rows.signature.task]:
        raise WrongTuningMetric(metric, rows.signature.task)
    judge = METRICS[metric]
    with held_study(storage, study_name, direction="maximize" if judge.greater_is_better else "minimize") as study:
        close_killed(run, study_name)
        tried = _settle(Trials(rows, recipe, spec, judge, study, run))
        best = _best(tried, judge)
        if best is None:
            errors = [trial.user_attrs[ERROR] for trial in tried if ERROR in trial.user_attrs]
            raise NoTrialSucceeded(study_name, trials=len(tried), error=errors[-1] if errors else "none")
        record(run, study, tried, best=best, judge=judge, seed=recipe.seed)
    return replace(recipe, params={**recipe.params, **best.params})


def _settle(trials: Trials) -> list[FrozenTrial]:
    """Try what no former run has tried; return the trials that count, by slot."""
    spec = trials.spec
    total = min(spec.trials, spec.points) if spec.sampler == "grid" else spec.trials
    done = _settled(trials, total)
    if all(value_of(trial) is None for trial in done.values()):
        done = {}  # nothing succeeded: what was wrong may have been mended
    deadline = time.monotonic() + 60 * (spec.timeout_minutes or math.inf)

    def attempt(slot: int) -> None:
        if time.monotonic() < deadline:
            trials.attempt(slot)

    with ThreadPoolExecutor(spec.parallel) as pool:
        at_once = pool.map if spec.parallel > 1 else map
        list(at_once(attempt, (slot for slot in range(total) if slot not in done)))
    return [trial for _, trial in sorted(_settled(trials, total).items())]


def _settled(trials: Trials, total: int) -> dict[int, FrozenTrial]:
    """Return the finished trials by slot, but for those that a kill cut off."""
    found = [trial for trial in trials.study.get_trials() if trial.state.is_finished() and not was_killed(trial)]
    return {trial.user_attrs[SLOT]: trial for trial in found if trial.user_attrs[SLOT] < total}


def _best(tried: list[FrozenTrial], judge: Metric) -> FrozenTrial | None:
    """Return the trial of the best value, the earliest of equals."""
    sign = 1 if judge.greater_is_better else -1
    values = [(sign * value, trial) for trial in tried if (value := value_of(trial)) is not None]
    return max(values, key=lambda one: one[0])[1] if values else None  # max keeps the first of equals
