"""The rollout of a model: each materialisation is one look at the challenger, and the traffic that follows from it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.binding import STANDING, TICK
from mlops_assets.assets.deployment import settled
from mlops_assets.assets.metadata import numbers, picture, table
from mlops_assets.assets.model import Model
from mlops_assets.assets.prediction_log import label_rules
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.rollout.evidence import Evidence
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.state import Look, Queued, Rollout

HEALTHY = "rollout_healthy"


def rollout_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/rollout`: looks once at the rollout that is under way, moves the traffic, and tells the story."""
    key = model.key("rollout")

    @dg.asset(
        key=key,
        deps=[model.key("deployment"), model.key("prediction_log")],
        check_specs=[
            dg.AssetCheckSpec(HEALTHY, asset=key, description="The newest rollout goes forward, or has all traffic.")
        ],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"rollout"},
        output_required=False,  # a first version takes all traffic: there is no rollout to show
        description="The way of the newest version to full traffic: steps, evidence, verdicts. One run is one look.",
    )
    def rollout(
        context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mlops_assets.rollout.due import standing

        routing = _looked(context, model, lake=lake, machine=machine)
        _tell(context, model, routing, lake=lake, machine=machine)
        if routing.rollout is None:
            text = f"No rollout yet: version {routing.champion.version} has all traffic."
            yield dg.AssetCheckResult(check_name=HEALTHY, passed=True, description=text)
            return
        followed = _followed(model, routing, lake=lake, mlflow=mlflow, machine=machine)
        after = _read(lake, model, machine.clock().now())
        assert after.rollout is not None, "a rollout stays in the routing"
        metadata = {**_story(after.rollout, after.queued), **followed}
        yield dg.MaterializeResult(metadata=metadata, check_results=[_health(after.rollout)])
        context.instance.add_run_tags(context.run.run_id, {STANDING: standing(after.rollout)})  # read by the sensor

    return rollout


def is_shown(instance: dg.DagsterInstance, rollout: "Rollout") -> bool:
    """Tell whether a run has put this state on the asset's page; an event with a picture takes 30 ms to read, a tag 2."""
    from mlops_assets.rollout.due import standing

    return instance.get_runs_count(dg.RunsFilter(tags={STANDING: standing(rollout)})) > 0


def _tell(
    context: dg.AssetExecutionContext,
    model: Model,
    routing: "Routing",
    *,
    lake: LakeResource,
    machine: MachineResource,
) -> None:
    """Show how rollouts have ended that gave way to this one; after a kill in between they are shown again."""
    from mlops_assets.rollout.rollouts import note_told

    for ended in routing.untold:
        if not is_shown(context.instance, ended):
            context.log_event(dg.AssetMaterialization(model.key("rollout"), metadata=_story(ended, None)))
    if routing.untold:
        told = [ended.id for ended in routing.untold]
        note_told(lake.state(), model.name, told, now=machine.clock().now())


def _looked(
    context: dg.AssetExecutionContext, model: Model, *, lake: LakeResource, machine: MachineResource
) -> "Routing":
    """Begin what waits for its turn, and look; a run that was started to show an end does no more than that."""
    from mlops_assets.predictions.log.look import Log, look
    from mlops_assets.predictions.log.segments import log_folder
    from mlops_assets.rollout.due import tick_name
    from mlops_assets.rollout.machine import spec_of
    from mlops_assets.rollout.rollouts import advance, start_queued

    state, now = lake.state(), machine.clock().now()
    routing = _read(lake, model, now)
    rollout = routing.rollout
    if rollout is not None and not rollout.is_active and context.run.tags.get(TICK) == tick_name(rollout):
        return routing
    if model.rollout is not None:
        start_queued(state, model.name, model.rollout, now=now)
    log = Log(log_folder(machine.folder, machine.env), lake.root, model.spec.task)

    def judge(routing: "Routing") -> "Evidence":
        if routing.rollout is not None and spec_of(routing.rollout).metrics.label is not None:
            try:
                return look(log, routing, now=now, rules=label_rules(model, lake))
            except Exception as error:  # noqa: BLE001  (errors and latency are judged whatever is wrong with the spine)
                context.log.warning("%s: labels cannot be read: %s", model.name, error)
        return look(log, routing, now=now)

    return advance(state, model.name, judge, now=now)


def _followed(
    model: Model, routing: "Routing", *, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
) -> dict[str, Any]:
    """Wait until the servers have followed, mirror the aliases, and return what became of both.

    A challenger that a server cannot load is rolled back by this, which is an answer and no failure of the run.
    """
    from mlops_assets.rollout.errors import ServerRefused

    try:
        shown = settled(model, routing.history[-1].generation, lake=lake, mlflow=mlflow, machine=machine)
    except ServerRefused as error:
        return {"servers": str(error)}
    return {name: shown[name] for name in ("generation", "servers", "aliases")}


def _read(lake: LakeResource, model: Model, now: "datetime") -> "Routing":
    from mlops_assets.rollout.errors import NotRouted
    from mlops_assets.rollout.routing import read_routing

    stored = read_routing(lake.state(), model.name)
    if stored is None:
        raise NotRouted(model.name, now, None)
    return stored[0]


def _story(rollout: "Rollout", queued: "Queued | None") -> dict[str, Any]:
    """Return what the asset's page shows; numbers plot themselves over the looks."""
    from mlops_assets.rollout.due import next_look, standing
    from mlops_assets.rollout.machine import traffic
    from mlops_assets.rollout.picture import rollout_chart
    from mlops_assets.rollout.story import sentence, step_table

    given, last = traffic(rollout), rollout.looks[-1] if rollout.looks else None
    done = [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.what, one.who, one.why) for one in rollout.actions]
    measured = {one.metric: one.value for one in last.judged} if last else {}
    return {
        "state": sentence(rollout),
        "steps": dg.MetadataValue.md(step_table(rollout)),
        "picture": picture(rollout_chart(rollout), title="Share of the challenger, and its metrics"),
        **({"last look": table(("metric", "verdict", "said"), _said(last))} if last else {}),
        "actions": table(("when (UTC)", "what", "who", "why"), done),
        "phase": rollout.phase,
        "reason": rollout.actions[-1].why,
        "champion": rollout.champion.version,
        "challenger": rollout.challenger.version,
        **({"next look": next_look(rollout).isoformat(timespec="seconds")} if rollout.is_active else {}),
        **({"queued": f"version {queued.route.version} waits: {queued.behind}"} if queued else {}),
        **numbers({"step": rollout.step, "share": given.share if given else None}),
        **numbers({"requests": last.requests if last else None}),
        **numbers(measured, prefix="metric/"),
        "rollout": rollout.id,
        STANDING: standing(rollout),
    }


def _said(last: "Look") -> list[tuple[str, str, str]]:
    return [(one.metric, one.outcome.replace("_", " "), one.said) for one in last.judged]


def _health(rollout: "Rollout") -> dg.AssetCheckResult:
    """Fail where a person should look: it went back, or it stands still."""
    action = rollout.actions[-1]
    return dg.AssetCheckResult(
        check_name=HEALTHY,
        passed=rollout.phase not in ("rolled_back", "paused"),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rollout.id} is {rollout.phase.replace('_', ' ')}: {action.why}",
        metadata={"rollout": rollout.id, "phase": rollout.phase, "reason": action.why},
    )
