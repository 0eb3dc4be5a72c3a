"""The version that takes traffic."""

from contextlib import suppress

import dagster as dg

from mlops_assets.assets.binding import REASON, bound_candidate, note_verdict
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource


def deployment_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/deployment`: routes all traffic to the registered version and waits for running servers."""

    @dg.asset(
        key=model.key("deployment"),
        deps=[model.key("registered_version")],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deployment"},
        description="The version that takes traffic. The routing object in the lake is the truth; aliases mirror it.",
    )
    def deployment(
        context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> dg.MaterializeResult:
        from mlops_assets.registry.register import promote, version_of
        from mlops_assets.rollout.routing import Route, start_rollout

        state, now, registry = lake.state(), machine.clock().now(), mlflow.registry()
        version = version_of(registry, model.name, candidate_id=bound_candidate(context, model))
        route = Route(version.version, version.candidate_id, version.artifact_uri)
        generation = start_rollout(
            state, model.name, route, now=now, reason=context.run.tags.get(REASON, "materialised by hand")
        )
        servers = _wait_for_servers(model, route.version, generation, lake=lake, machine=machine)
        promote(registry, model.name, version.version)
        note_verdict(context, "promoted")
        return dg.MaterializeResult(
            metadata={
                "version": route.version,
                "generation": generation,
                "mlops/candidate": route.candidate_id,
                "artifact": route.artifact_uri,
                "servers": servers,
                "routed_at": now.isoformat(),
            }
        )

    return deployment


def _wait_for_servers(
    model: Model, version: int, generation: int, *, lake: LakeResource, machine: MachineResource
) -> str:
    from mlops_assets.rollout.errors import NoPreviousVersion, ServerRefused
    from mlops_assets.rollout.heartbeat import Applied, LoadFailed, NoServer, TimedOut, wait_for_generation
    from mlops_assets.rollout.routing import restore_previous

    timeout_s = model.spec.deployment.wait_seconds
    outcome = wait_for_generation(machine.folder, model.name, generation, env=machine.env, timeout_s=timeout_s)
    match outcome:
        case Applied(urls):
            return f"loaded by {', '.join(urls)}"
        case NoServer():
            return "no server runs on this machine"
        case LoadFailed(url, error):
            with suppress(NoPreviousVersion):  # the first version has nothing to go back to
                restore_previous(lake.state(), model.name, now=machine.clock().now(), reason=f"load failed: {error}")
            raise ServerRefused(model.name, version, url, error)
        case TimedOut(urls):
            return f"not loaded within {timeout_s:g} s by {', '.join(urls)}"
