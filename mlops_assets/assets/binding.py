"""Which materialisation a step works on: this run's own, else the one a tag names, else the latest.

Without this, a registration that is materialised alone, or while a second retraining runs, could pick up a candidate
that its verdict was never about.
"""

from collections.abc import Iterator
from typing import Literal

import dagster as dg

from mlops_assets.assets.model import Model
from mlops_assets.errors import MlopsError

CANDIDATE = "mlops/candidate"
TRAINING_SET = "mlops/training_set"
AS_OF = "mlops/as_of"
EVENTS = "mlops/events"
MODEL = "mlops/model"
REASON = "mlops/reason"
VERDICT = "mlops/verdict"
VERSION = "mlops/version"
LAUNCHED_AT = "mlops/launched_at"
TICK = "mlops/rollout_tick"
STANDING = "mlops/rollout"
_LOOK_BACK = 200


class NothingMaterialised(MlopsError):
    """A step needs an upstream asset that was never materialised."""

    def __init__(self, key: dg.AssetKey, job: str) -> None:
        super().__init__(
            key.to_user_string(),
            found="no materialisation",
            required="at least one",
            remedy=f"Materialise it, or run the job `{job}`.",
        )


def bound_candidate(context: dg.AssetExecutionContext, model: Model) -> str:
    """Return the candidate id (MLflow run id) that this step is about.

    Raises:
        NothingMaterialised: No candidate exists.
    """
    own = _value_in_runs(context, model.key("candidate"), CANDIDATE, list(_lineage(context)))
    return own or context.run.tags.get(CANDIDATE) or _latest_value(context, model, "candidate", CANDIDATE)


def bound_training_set(context: dg.AssetExecutionContext, model: Model) -> str:
    """Return the URI of the training set that this step is about.

    Raises:
        NothingMaterialised: No training set exists.
    """
    own = _value_in_runs(context, model.key("training_set"), TRAINING_SET, list(_lineage(context)))
    return own or _latest_value(context, model, "training_set", TRAINING_SET)


def note_verdict(
    context: dg.AssetExecutionContext, verdict: Literal["promoted", "rejected", "waiting"], **tags: str
) -> None:
    """Tag the run with what became of its candidate; the sensor ends the events that the run answers."""
    context.instance.add_run_tags(context.run.run_id, {VERDICT: verdict, **tags})


def _lineage(context: dg.AssetExecutionContext) -> Iterator[str]:
    """Yield this run's id and those of the runs that it re-executes from a failure."""
    run = context.run
    yield run.run_id
    while run is not None and run.parent_run_id is not None:
        yield run.parent_run_id
        run = context.instance.get_run_by_id(run.parent_run_id)


def _value_in_runs(context: dg.AssetExecutionContext, key: dg.AssetKey, name: str, run_ids: list[str]) -> str | None:
    records = context.instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=key), limit=_LOOK_BACK).records
    newest_last = [record for record in reversed(records) if name in _metadata(record)]
    values = {record.run_id: str(_metadata(record)[name].value) for record in newest_last}
    return next((values[run_id] for run_id in run_ids if run_id in values), None)


def _latest_value(context: dg.AssetExecutionContext, model: Model, asset: str, name: str) -> str:
    event = context.instance.get_latest_materialization_event(model.key(asset))
    if event is None or event.asset_materialization is None:
        raise NothingMaterialised(model.key(asset), f"{model.name}_retrain")
    return str(event.asset_materialization.metadata[name].value)


def _metadata(record: dg.EventLogRecord) -> dict:
    materialization = record.asset_materialization
    return dict(materialization.metadata) if materialization else {}
