"""A model's search for parameters, and what it shows of its trials."""

import json
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.metadata import picture, table
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import MachineResource

if TYPE_CHECKING:
    from mlops_assets.training.fit import Search
    from mlops_assets.training.tracked_run import TrackedRun

SHOWN = 50  # trials, the best first: an event row should stay small
NOT_DECISIVE = {"tuning": {"trials", "parallel", "timeout_minutes"}, "refit": True}


def search_of(
    model: Model, training_set: str, run: "TrackedRun", *, machine: MachineResource, tracking_uri: str
) -> "Search | None":
    """Return what chooses the recipe of a candidate; None if the file asks for no search.

    Args:
        training_set: Its sha256; a search on the same one, with the same file, goes on where it was.
        run: The candidate's run.
    """
    from mlops_assets.training.tuning import search
    from mlops_assets.training.tuning_study import storage_of, study_name_of

    spec = model.spec
    if spec.training.tuning is None:
        return None
    metric = spec.training.tuning.metric or spec.gate.metric_for(spec.task)
    decisive = {
        "training_set": training_set,
        "task": spec.task,
        "split": spec.split.model_dump(),
        "label_delay_seconds": model.label_timeout.total_seconds(),
        "training": spec.training.model_dump(exclude=NOT_DECISIVE),
        "metric": metric,
    }
    return partial(
        search,
        spec=spec.training.tuning,
        metric=metric,
        storage=storage_of(tracking_uri, folder=machine.folder / "tuning" / machine.env / model.name),
        study_name=study_name_of(model.name, decisive),
        run=run,
    )


def trials_shown(run: "TrackedRun") -> dict[str, dg.MetadataValue]:
    """Return the table of trials and the pictures of a search as metadata; nothing if there was none."""
    from mlops_assets.training.tuning_record import PLOTS, TRIALS

    logged = run.read_bytes(TRIALS)
    if logged is None:
        return {}
    trials = sorted(
        json.loads(logged), key=lambda trial: (not trial["is_best"], trial["value"] is None, trial["trial"])
    )
    names = list(trials[0]["params"])
    rows = [
        [one["trial"], one["state"], one["value"], one["seconds"], *(one["params"].get(name) for name in names)]
        for one in trials[:SHOWN]
    ]
    pictures = {name: run.read_bytes(f"plots/{name}.png") for name in PLOTS}
    shown = {name: picture(png, title=name) for name, png in pictures.items() if png}
    return {"trials": table(["trial", "state", "value", "seconds", *names], rows), **shown}
