"""The one sensor that retrains: it reads open events of all models and asks for runs.

It reads small state objects and run tags only; what to do about them is decided by `retraining.plan`.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import dagster as dg

from mlops_assets.assets.binding import EVENTS, LAUNCHED_AT, MODEL, REASON, VERDICT, VERSION
from mlops_assets.assets.model import resolve_model
from mlops_assets.assets.online_features import GROUP as ONLINE_GROUP
from mlops_assets.automation.jobs import ACTIVE, INTERVAL_SECONDS, retraining_job, rollout_job
from mlops_assets.automation.rollouts import rollouts_sensor
from mlops_assets.automation.upkeep import upkeep_automation
from mlops_assets.components.catalog import Catalog
from mlops_assets.components.schema import ModelSpec
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore
    from mlops_assets.retraining.events import EventLog
    from mlops_assets.retraining.plan import Launch, RunState

    Verdict = Literal["promoted", "rejected", "waiting"] | None

RECENT_RUNS = 200  # more than any cool-down, budget or number of attempts looks back


def location_automation(catalog: Catalog, loaded: Sequence[dg.Definitions]) -> dg.Definitions:
    """Return what belongs to the location rather than to one file: two jobs of its own and the sensors `retraining` and `rollouts`.

    Args:
        loaded: Definitions of the files; models whose file is broken have no job there, and no part in the sensors.
    """
    jobs = {job.name: job for part in loaded for job in part.jobs or []}
    models = [entry.spec for entry in catalog.models.values() if retraining_job(entry.spec.name) in jobs]
    sensors = [_retraining_sensor(models, [jobs[retraining_job(spec.name)] for spec in models])] if models else []
    rolled = [resolve_model(catalog, spec.name) for spec in models if rollout_job(spec.name) in jobs]
    if rolled:
        sensors.append(rollouts_sensor(rolled, [jobs[rollout_job(model.name)] for model in rolled]))
    ours = dg.Definitions(jobs=[_features_refresh()] if catalog.views else [], sensors=sensors)
    return dg.Definitions.merge(ours, upkeep_automation())


def _retraining_sensor(models: Sequence[ModelSpec], jobs: Sequence[Any]) -> dg.SensorDefinition:

    @dg.sensor(
        name="retraining",
        description="Retrains models on drift events: cool-down, budget, one run at a time, three attempts.",
        jobs=jobs,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def retraining(
        context: dg.SensorEvaluationContext, lake: LakeResource, machine: MachineResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from mlops_assets.retraining.events import EventLog

        log = EventLog(lake.state())
        requests = [one for spec in models for one in _decide(context, spec, log, now=machine.clock().now())]
        yield from requests or [dg.SkipReason("No open event may start a retraining.")]

    return retraining


def _features_refresh() -> Any:
    return dg.define_asset_job(
        "features_refresh",
        selection=dg.AssetSelection.groups("features", ONLINE_GROUP),
        description="Compute every feature view from the raw tables as they are now, and copy the newest rows online.",
    )


def _decide(
    context: dg.SensorEvaluationContext, spec: ModelSpec, log: "EventLog", *, now: datetime
) -> Iterator[dg.RunRequest]:
    from mlops_assets.retraining.plan import Close, Defer, Launch, Wait, plan

    events = log.open_events(spec.name)
    if not events:
        return
    runs = context.instance.get_runs(dg.RunsFilter(job_name=retraining_job(spec.name)), limit=RECENT_RUNS)
    decisions = plan(
        events,
        runs=_runs_by_event(spec, runs, log.state),
        spec=spec.retraining,
        retrained_at=_launch_times(runs),
        now=now,
        active=any(run.status in ACTIVE for run in runs),
    )
    for decision in decisions:
        match decision:
            case Launch():
                yield _request(spec, decision, now=now)
            case Defer(event_id, until):
                log.defer(spec.name, event_id, until=until)
            case Close(event_id, verdict, run_ids):
                log.close(spec.name, event_id, verdict=verdict, now=now, run_ids=run_ids)
                context.log.info("%s: event %s closed as %s", spec.name, event_id, verdict)
            case Wait(event_ids, reason):
                context.log.info("%s: events %s wait: %s", spec.name, ", ".join(event_ids), reason)


def _request(spec: ModelSpec, launch: "Launch", *, now: datetime) -> dg.RunRequest:
    tags = {
        MODEL: spec.name,
        EVENTS: ",".join(launch.event_ids),
        REASON: "; ".join(launch.reasons),
        LAUNCHED_AT: now.isoformat(),
    }
    return dg.RunRequest(run_key=launch.run_key, job_name=retraining_job(spec.name), tags=tags)


def _runs_by_event(
    spec: ModelSpec, runs: Sequence[dg.DagsterRun], state: "StateStore"
) -> Mapping[str, "Sequence[RunState]"]:
    from mlops_assets.retraining.plan import RunState

    by_event: dict[str, list[RunState]] = {}
    for run in runs:
        events = list(filter(None, run.tags.get(EVENTS, "").split(",")))
        status = "active" if run.status in ACTIVE else "succeeded" if run.is_success else "failed"
        verdict = _verdict(spec, run, state) if events else None
        for event in events:
            by_event.setdefault(event, []).append(RunState(run.run_id, status, verdict))
    return by_event


def _verdict(spec: ModelSpec, run: dg.DagsterRun, state: "StateStore") -> "Verdict":
    """Return what became of a run's candidate; if it was open when the run ended, the lake says what followed."""
    from mlops_assets.rollout.outcome import verdict_on

    noted = cast("Verdict", run.tags.get(VERDICT))
    if noted != "waiting":
        return noted
    return verdict_on(state, spec.name, int(run.tags[VERSION]), has_steps=spec.rollout is not None)


def _launch_times(runs: Sequence[dg.DagsterRun]) -> list[datetime]:
    """Return when runs that reached a verdict were launched, by the deployment's clock."""
    counted = [run for run in runs if VERDICT in run.tags or run.status in ACTIVE]
    return [datetime.fromisoformat(run.tags[LAUNCHED_AT]) for run in counted if LAUNCHED_AT in run.tags]
