"""One trial of a search: a fit on train rows, a value on validation rows, a nested run of MLflow."""

from __future__ import annotations

import logging
import math
import time
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.predictor.scoring import score
from mlops_assets.training.fit import learn
from mlops_assets.training.tuning_choices import SLOT, pruner_of, rounds_per_look, sampler_of, suggest
from mlops_assets.training.tuning_record import PRUNED, STUDY, TRIAL
from mlops_assets.training.tuning_study import ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna import Study
    from optuna.trial import Trial

    from mlops_assets.stats.metrics import Metric
    from mlops_assets.training.estimators import Recipe
    from mlops_assets.training.rows import LearningRows
    from mlops_assets.training.tracked_run import TrackedRun
    from mlops_assets.training.tuning_spec import TuningSpec

log = logging.getLogger(__name__)
VALIDATION = "validation_"
GREATER_IS_BETTER = ("auc", "map", "ndcg", "pre")  # beginnings of the evaluation metrics that XGBoost maximises


class _Failed(Exception):
    """The fit or its value failed; the cause says how."""


@dataclass(frozen=True)
class Trials:
    """What all trials of a search share."""

    rows: LearningRows
    recipe: Recipe
    spec: TuningSpec
    judge: Metric
    study: Study
    run: TrackedRun

    def attempt(self, slot: int) -> None:
        """Run the trial of a slot; its own failure is noted and counts, any other ends the search."""
        from optuna.trial import TrialState

        study = copy(self.study)  # the same storage, other choices
        study.sampler = sampler_of(self.spec, seed=self.recipe.seed, slot=slot)
        study.pruner = pruner_of(self.spec, rounds=self._rounds)
        trial = study.ask()
        trial.set_user_attr(SLOT, slot)
        try:
            self._nest(study, trial, slot)
        except _Failed as failed:
            why = f"{type(failed.__cause__).__name__}: {failed.__cause__}"
            log.warning("%s: trial %d failed, the search goes on: %s", study.study_name, slot, why)
            trial.set_user_attr(ERROR, why)
            study.tell(trial, state=TrialState.FAIL)

    def _nest(self, study: Study, trial: Trial, slot: int) -> None:
        from optuna.trial import TrialState

        params = suggest(trial, self.spec.space)
        with self.run.child(f"trial {slot:03d}", tags={STUDY: study.study_name, TRIAL: str(slot)}) as child:
            child.log_params(params)
            started = time.monotonic()
            value = self._value(trial, params)
            child.log_metrics({"seconds": time.monotonic() - started})
            if value is None:
                child.set_tags({PRUNED: "true"})
                study.tell(trial, state=TrialState.PRUNED)
            else:
                child.log_metrics({f"{VALIDATION}{self.judge.name}": value})
                study.tell(trial, value)

    def _value(self, trial: Trial, params: Mapping[str, Any]) -> float | None:
        """Return the metric on validation rows; None if the pruner gave the trial up."""
        from optuna.exceptions import StorageInternalError, TrialPruned

        try:
            return self._judged({**self.recipe.params, **params}, trial)
        except TrialPruned:
            return None
        except (MlopsError, StorageInternalError):  # the next trial would meet the same
            raise
        except Exception as error:
            raise _Failed from error

    def _judged(self, params: Mapping[str, Any], trial: Trial) -> float:
        watch = self._watch(trial) if self.spec.pruner != "none" else None
        learned = learn(self.rows, replace(self.recipe, params=params), on_round=watch)
        seen = self.rows.validation
        value = self.judge(seen.y, score(learned.pipeline, dict(seen.frame.items()), self.rows.signature))
        if not math.isfinite(value):
            raise ValueError(f"{self.judge.name} of the validation rows is {value}")
        return value

    @property
    def _rounds(self) -> int:
        return int(self.recipe.params.get("n_estimators", 1))

    def _watch(self, trial: Trial) -> Callable[[int, Mapping[str, float]], bool]:
        """Return what reports the validation loss, in the direction of the metric, which is that of the study."""
        from optuna.exceptions import TrialPruned

        every = rounds_per_look(self._rounds)

        def on_round(number: int, losses: Mapping[str, float]) -> bool:
            if (number + 1) % every == 0:
                name, loss = [item for item in losses.items() if item[0].startswith(VALIDATION)][-1]
                rises = name.removeprefix(VALIDATION).startswith(GREATER_IS_BETTER)
                trial.report(loss if rises == self.judge.greater_is_better else -loss, number + 1)
                if trial.should_prune():
                    raise TrialPruned
            return False

        return on_round
