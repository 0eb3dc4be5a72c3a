"""The one sensor that is the clock of every rollout: it asks for a run when a look is due, and decides nothing.

It reads one small object per model. State and traffic are changed by the run alone (`assets/rollout.py`), or by a server.
"""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.binding import LAUNCHED_AT, MODEL, TICK
from mlops_assets.assets.model import Model
from mlops_assets.assets.rollout import is_shown
from mlops_assets.automation.jobs import ACTIVE, INTERVAL_SECONDS, rollout_job
from mlops_assets.resources.places import LakeResource, MachineResource

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.rollout.routing import Routing

RETRIED_AT_ONCE = 1  # failed runs of one tick; after that it is tried again once every interval


def rollouts_sensor(models: Sequence[Model], jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Return the sensor `rollouts` for the models whose file has `rollout:`."""

    @dg.sensor(
        name="rollouts",
        description="The clock of every rollout: one run per look, and one for whatever a server did by itself.",
        jobs=jobs,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def rollouts(
        context: dg.SensorEvaluationContext, lake: LakeResource, machine: MachineResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from mlops_assets.rollout.routing import read_routing

        state, now, requests = lake.state(), machine.clock().now(), list[dg.RunRequest]()
        trouble: Exception | None = None
        for model in models:
            try:
                stored = read_routing(state, model.name)
                if stored is not None:
                    requests += _requests(context.instance, model, stored[0], now=now)
            except Exception as error:  # whatever is wrong with one model stops no other one's clock
                context.log.exception("%s: nobody looks at its rollout", model.name)
                trouble = error
        if trouble is not None and not requests:
            raise trouble
        yield from requests or [dg.SkipReason("No rollout is due.")]

    return rollouts


def _requests(
    instance: dg.DagsterInstance, model: Model, routing: "Routing", *, now: "datetime"
) -> Iterator[dg.RunRequest]:
    tick = _due(instance, model, routing, now=now)
    if tick is None or _runs(instance, model, statuses=ACTIVE):
        return
    ended = [run for run in _runs(instance, model, tags={TICK: tick}) if run.dagster_run.is_finished]
    if len(ended) > RETRIED_AT_ONCE and time.time() < _ended_at(ended) + _interval(routing):
        return
    yield dg.RunRequest(
        run_key=f"{tick}:{len(ended) + 1}",
        job_name=rollout_job(model.name),
        tags={MODEL: model.name, TICK: tick, LAUNCHED_AT: now.isoformat()},
    )


def _due(instance: dg.DagsterInstance, model: Model, routing: "Routing", *, now: "datetime") -> str | None:
    """Return the name of the tick that a run should do: a look, the start of a version that waits, or an end to be shown."""
    from mlops_assets.rollout.due import due, tick_name

    assert model.rollout is not None, "the sensor knows these models only"
    rollout = routing.rollout
    if rollout is not None and not rollout.is_active and not is_shown(instance, rollout):
        return tick_name(rollout)
    return due(routing, model.rollout, now=now)


def _runs(instance: dg.DagsterInstance, model: Model, **which: Any) -> Sequence[dg.RunRecord]:
    return instance.get_run_records(dg.RunsFilter(job_name=rollout_job(model.name), **which))


def _ended_at(runs: Sequence[dg.RunRecord]) -> float:
    return max(record.end_time or record.update_timestamp.timestamp() for record in runs)


def _interval(routing: "Routing") -> float:
    from mlops_assets.rollout.machine import spec_of

    return spec_of(routing.rollout).interval_seconds if routing.rollout else INTERVAL_SECONDS
