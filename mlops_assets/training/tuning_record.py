"""What a search leaves in MLflow: the outcome in the candidate's run, and no trial that runs for ever."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlops_assets.training.tuning_choices import SLOT
from mlops_assets.training.tuning_plots import history_plot, importance_plot
from mlops_assets.training.tuning_study import ERROR, value_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from mlops_assets.stats.metrics import Metric
    from mlops_assets.training.tracked_run import TrackedRun

STUDY, TRIAL, PRUNED = "mlops/study", "mlops/trial", "mlops/pruned"
TRIALS = "tuning/trials.json"
PLOTS = ("tuning_history", "tuning_importance")
PAGE = 1000


def close_killed(run: TrackedRun, study_name: str) -> None:
    """Close as KILLED the trials that a former process left open; the study is held, so none of them lives."""
    wanted = f"tags.`{STUDY}` = '{study_name}' and attributes.status = 'RUNNING' and tags.`{TRIAL}` != ''"
    while left := run.client.search_runs([run.experiment_id], wanted, max_results=PAGE):
        for one in left:
            run.client.set_terminated(one.info.run_id, "KILLED")


def record(
    run: TrackedRun, study: Study, tried: list[FrozenTrial], *, best: FrozenTrial, judge: Metric, seed: int
) -> None:
    """Log parameters, numbers, pictures and the table of trials to the run of the candidate.

    Args:
        tried: The trials that count, by slot.
    """
    states = [trial.state.name for trial in tried]
    run.set_tags({STUDY: study.study_name})
    run.log_params({f"tuning/{name}": value for name, value in best.params.items()})
    run.log_metrics(
        {
            "tuning/best": best.value or 0.0,
            "tuning/trials": len(tried),
            "tuning/pruned": states.count("PRUNED"),
            "tuning/failed": states.count("FAIL"),
        }
    )
    pictures = {PLOTS[0]: history_plot(tried, judge), PLOTS[1]: importance_plot(study, tried, seed=seed)}
    for name, png in pictures.items():
        if png:
            run.log_bytes(f"plots/{name}.png", png)
    table = [{**_row(trial), "is_best": trial.number == best.number} for trial in tried]
    run.log_bytes(TRIALS, json.dumps(table, indent=1).encode())


def _row(trial: FrozenTrial) -> dict[str, Any]:
    seconds = trial.duration.total_seconds() if trial.duration else None
    return {
        "trial": trial.user_attrs[SLOT],
        "state": trial.state.name.lower(),
        "value": value_of(trial),
        "seconds": seconds,
        "params": trial.params,
        "error": trial.user_attrs.get(ERROR),
    }
