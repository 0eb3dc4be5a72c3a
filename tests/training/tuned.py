"""A small search, and a process that is killed in the middle of one: `python -m training.tuned FOLDER TRACKING CALL COUNT`.

It ends by SIGKILL right after the COUNT-th call of `ask`, `report` or `tell` of Optuna.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from training.conftest import FEATURES, rows

from mlops_assets.predictor.signature import Signature
from mlops_assets.training.estimators import Recipe, recipe_of
from mlops_assets.training.rows import learning_rows
from mlops_assets.training.spec import SplitSpec, TrainingSpec
from mlops_assets.training.split import split
from mlops_assets.training.tracked_run import TrackedRun
from mlops_assets.training.tracking import Tracking
from mlops_assets.training.tuning import search

SPLIT = SplitSpec(validation_days=10, test_days=10)
SPACE = {
    "max_depth": {"low": 1, "high": 6},
    "learning_rate": {"low": 0.01, "high": 0.5, "log": True},
    "tree_method": ["hist", "approx"],
}
XGBOOST = {"params": {"n_estimators": 18}, "seed": 3}
WHOLE = {"space": SPACE, "trials": 13, "pruner": "hyperband"}  # the first ten of TPE are random
STUDY = "flow-0123456789abcdef"


@dataclass(frozen=True)
class Outcome:
    recipe: Recipe
    run: TrackedRun
    trials: list[dict]

    @property
    def decided(self):
        """What two equal searches share: all but the time that they took."""
        return [{key: value for key, value in trial.items() if key != "seconds"} for trial in self.trials]

    @property
    def children(self):
        found = self.run.client.search_runs([self.run.experiment_id], "", max_results=1000)
        mine = [one for one in found if one.data.tags.get("mlflow.parentRunId") == self.run.run_id]
        return sorted(mine, key=lambda one: one.info.run_name)


def table_rows(table, task="binary"):
    parts = split(table, SPLIT, task=task, label_delay=timedelta(0))
    return learning_rows(table, parts, Signature(FEATURES, task, ())), parts


def tune(storage, tracking, tuning, *, training=XGBOOST, task="binary", metric="roc_auc", table=None, name=STUDY):
    """Search on a small table and return what is left in the run."""
    spec = TrainingSpec(**training, tuning=tuning)
    seen, _ = table_rows(rows(days=60, per_day=10, task=task) if table is None else table, task)
    with tracking.run("delay", tags={}) as run:
        recipe = search(seen, recipe_of(spec), spec.tuning, metric=metric, storage=storage, study_name=name, run=run)
    return Outcome(recipe, run, json.loads(run.read_bytes("tuning/trials.json")))


def storage_in(folder):
    return f"sqlite:///{Path(folder) / 'trials.db'}"


def killed_after(owner, name, count):
    """Let a method of Optuna end the process, the `count`-th time that it has done its work."""
    done, calls = getattr(owner, name), []

    def and_die(*args, **kwargs):
        result = done(*args, **kwargs)
        calls.append(name)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, and_die)


def main(folder, tracking_uri, call, count):
    import optuna

    killed_after(optuna.Trial if call == "report" else optuna.Study, call, int(count))
    tune(storage_in(folder), Tracking(tracking_uri, "killed", f"{folder}/artifacts"), WHOLE)


if __name__ == "__main__":
    main(*sys.argv[1:])
