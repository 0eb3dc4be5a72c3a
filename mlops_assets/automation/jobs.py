"""The jobs of each definition, and their schedules.

No job mixes partitioned and unpartitioned assets: such a job would ask for a partition to retrain, and ingest it again.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_assets.assets.contract_checks import raw_key
from mlops_assets.assets.model import Model
from mlops_assets.assets.online_features import online_key
from mlops_assets.assets.prediction_log import NO_SKEW_SERVED
from mlops_assets.assets.reconciliation import reconciliation_key
from mlops_assets.assets.requarantine import requarantine_job
from mlops_assets.assets.skew import NO_SKEW
from mlops_assets.automation.approval import decide_job
from mlops_assets.contract.partitions import PartitionsSpec
from mlops_assets.features.spec import FeatureViewSpec
from mlops_assets.ingestion.source_spec import ExternalSource
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.lake.windows import Window

EXECUTORS = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}
RETRAINING_ASSETS = ("training_set", "candidate", "evaluation", "registered_version", "deployment")
MONITORING_ASSETS = ("profile", "drift_report", "quality_report")
INTERVAL_SECONDS = 4  # of sensors; the daemon looks every 5 s: 5 would just miss it and mean 10
ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
Job = Any  # Dagster does not export the type that define_asset_job returns


def retraining_job(model: str) -> str:
    """Return the name of the job that retrains a model."""
    return f"{model}_retrain"


def rollout_job(model: str) -> str:
    """Return the name of the job that looks at the rollout of a model."""
    return f"{model}_rollout"


def ingestion_automation(spec: IngestionSpec) -> dg.Definitions:
    """Return the jobs `<source>_ingest`, `<source>_reconcile` and `<source>_requarantine`, with their schedules."""
    keys = [raw_key(f"{spec.name}/{table}") for table in spec.tables]
    keys += [dg.AssetKey(["quarantine", spec.name, table]) for table in spec.tables]
    ingest = dg.define_asset_job(
        f"{spec.name}_ingest",
        selection=dg.AssetSelection.assets(*keys),
        description=f"Load, audit and publish the tables of {spec.name}.",
    )
    schedules = _schedules(ingest, spec.schedule, spec.partitions, lag_days=spec.lag_days)
    if isinstance(spec.source, ExternalSource):  # its tables are read where they are
        return dg.Definitions(jobs=[ingest], schedules=schedules)
    reconcile = dg.define_asset_job(
        f"{spec.name}_reconcile",
        selection=dg.AssetSelection.assets(reconciliation_key(spec.name)),
        description=f"Read {spec.name} again and publish what differs.",
    )
    schedules += _schedules(reconcile, spec.reconcile.schedule, None)
    return dg.Definitions(jobs=[ingest, reconcile, requarantine_job(spec)], schedules=schedules)


def feature_automation(spec: FeatureViewSpec) -> dg.Definitions:
    """Return the schedule of one feature view; the job `features_refresh` belongs to the location."""
    if spec.schedule is None:
        return dg.Definitions()
    keys = [dg.AssetKey(["features", spec.name]), *([online_key(spec.name)] if spec.online else [])]
    schedule = dg.ScheduleDefinition(
        name=f"{spec.name}_refresh_schedule",
        job_name="features_refresh",
        cron_schedule=spec.schedule,
        execution_fn=lambda _: dg.RunRequest(asset_selection=keys),
    )
    return dg.Definitions(schedules=[schedule])


def model_automation(model: Model) -> dg.Definitions:
    """Return the jobs of a model, some only where its file has `rollout:` or `experiment:`, with their schedules."""
    # Right after scoring nothing can have changed: what was scored is replayed when its window is watched.
    no_skew = dg.AssetSelection.checks(dg.AssetCheckKey(model.key("predictions"), NO_SKEW))
    scored, watched = _assets(model, ["predictions"]) - no_skew, _assets(model, MONITORING_ASSETS) | no_skew
    retrain = _model_job(
        model, "retrain", _assets(model, RETRAINING_ASSETS), "Train, judge, register and deploy a new version."
    )
    score = _model_job(model, "score", scored, "Score one window with the version routed at its start.")
    monitor = _model_job(
        model, "monitor", watched, "Profile one window, look for drift, join its labels, replay its scores."
    )
    log = _model_job(
        model, "log", _assets(model, ["prediction_log"]), "Compact the prediction log, label it, replay served rows."
    )
    look = _experiment_jobs(model)
    return dg.Definitions(
        jobs=[retrain, score, monitor, log, decide_job(model), *_rollout_jobs(model), *look],
        schedules=[
            *_schedules(retrain, model.spec.retraining.schedule, None),
            *_schedules(score, model.spec.scoring.schedule, model.partitions),
            *_schedules(monitor, model.spec.monitoring.schedule, model.partitions),
            *(one for job in look for one in _schedules(job, model.experiment and model.experiment.schedule, None)),
            *_schedules(log, model.spec.prediction_log.schedule, None),
        ],
    )


def _rollout_jobs(model: Model) -> list[Job]:
    if model.rollout is None:
        return []
    description = "Look once at the rollout, and let the traffic follow; the sensor `rollouts` starts it."
    return [_model_job(model, "rollout", _assets(model, ["rollout"]), description)]


def _experiment_jobs(model: Model) -> list[Job]:
    if model.experiment is None:
        return []
    description = "Look once at the experiment, and end it when it is decided or a guardrail breaks."
    # Skew says nothing of the comparison, and must not keep a guardrail from being looked at.
    skew = dg.AssetSelection.checks(dg.AssetCheckKey(model.key("prediction_log"), NO_SKEW_SERVED))
    return [_model_job(model, "experiment", _assets(model, ["prediction_log", "experiment"]) - skew, description)]


def _assets(model: Model, names: Sequence[str]) -> dg.AssetSelection:
    return dg.AssetSelection.assets(*(model.key(name) for name in names))


def _model_job(model: Model, name: str, selection: dg.AssetSelection, description: str) -> Job:
    return dg.define_asset_job(
        f"{model.name}_{name}",
        selection=selection,
        description=description,
        executor_def=EXECUTORS[model.spec.executor],
    )


def _schedules(
    job: Job, cron: str | None, partitions: PartitionsSpec | None, *, lag_days: float = 0
) -> list[dg.ScheduleDefinition]:
    if cron is None:
        return []

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if partitions is None:
            return dg.RunRequest()
        complete = partitions.windows(context.scheduled_execution_time)
        return _request(complete, timedelta(days=lag_days)) if complete else dg.SkipReason("No window is complete yet.")

    return [dg.ScheduleDefinition(name=f"{job.name}_schedule", job=job, cron_schedule=cron, execution_fn=request)]


def _request(complete: Sequence[Window], lag: timedelta) -> dg.RunRequest:
    """Ask for the newest window, and in the same run for those before that late rows may still reach."""
    last = complete[-1]
    first = next(window for window in complete if window.end > last.start - lag or window is last)
    if first is last:
        return dg.RunRequest(partition_key=last.key)
    ends = {"dagster/asset_partition_range_start": first.key, "dagster/asset_partition_range_end": last.key}
    return dg.RunRequest(tags=ends)
