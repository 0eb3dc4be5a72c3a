"""The version that takes traffic."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, REASON, VERSION, bound_candidate, note_verdict
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from mlops_assets.registry.lifecycle import VersionCard
    from mlops_assets.rollout.routing import Routing


def deployment_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/deployment`: brings the registered version to traffic, in steps if the file says so."""

    @dg.asset(
        key=model.key("deployment"),
        deps=[model.key("registered_version")],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deployment"},
        output_required=False,  # a version that waits for approval is no failure, and no deployment
        description="The version that takes traffic, at once or by a rollout. The routing object in the lake is the truth.",
    )
    def deployment(
        context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> Iterator[dg.MaterializeResult]:
        from mlops_assets.registry.register import card_of
        from mlops_assets.rollout.promotion import bring

        state, now = lake.state(), machine.clock().now()
        card = card_of(state, model.name, candidate_id=bound_candidate(context, model))
        if card.status == "pending":
            _wait_for_approval(context, model, card)
            return
        _load(card)
        reason = context.run.tags.get(REASON, "materialised by hand")
        routing = bring(state, model.name, card.version, model.rollout, who="", now=now, reason=reason)
        _note(context, routing, card.version)
        metadata = settled(model, routing.history[-1].generation, lake=lake, mlflow=mlflow, machine=machine)
        yield dg.MaterializeResult(metadata={**metadata, **_waiting(routing, card.version)})

    return deployment


def settled(
    model: Model, generation: int, *, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
) -> dict[str, Any]:
    """Wait for the running servers, mirror the aliases, and return what a deployment shows.

    Raises:
        ServerRefused: A server could not load it; its rollout is over, or the traffic went back.
    """
    from mlops_assets.rollout.settling import settle

    return settle(
        mlflow.registry(),
        lake.state(),
        model.name,
        generation,
        home=machine.folder,
        env=machine.env,
        now=machine.clock().now(),
        timeout_s=model.spec.deployment.wait_seconds,
    )


def _wait_for_approval(context: dg.AssetExecutionContext, model: Model, card: "VersionCard") -> None:
    """Say, in the log, on the asset's page and on the run, that a person has to decide."""
    command = f"mlops approve {card.name} {card.version} --reason TEXT"
    text = (
        f"Version {card.version} passed the gate and waits for approval: run `{command}` (or `mlops reject`), "
        f"or the job `{card.name}_decide`."
    )
    context.log.warning(text)
    metadata = {"version": card.version, CANDIDATE: card.candidate_id, "to approve": command}
    context.log_event(dg.AssetObservation(model.key("deployment"), description=text, metadata=metadata))
    note_verdict(context, "waiting", **{VERSION: str(card.version)})


def _note(context: dg.AssetExecutionContext, routing: "Routing", version: int) -> None:
    """Tell the run what became of its version; a rollout is open until it ends, and then the routing knows."""
    if routing.champion.version == version:
        note_verdict(context, "promoted")
    else:
        note_verdict(context, "waiting", **{VERSION: str(version)})


def _waiting(routing: "Routing", version: int) -> dict[str, Any]:
    """Return what the asset's page says of a version that waits for its rollout."""
    queued = routing.queued
    if queued is None or queued.route.version != version:
        return {}
    return {"queued": f"version {version} waits: {queued.behind}"}


def _load(card: "VersionCard") -> None:
    """Load the saved model and replay its golden rows: where no server runs, nobody else would notice."""
    from mlops_assets.predictor.artifact import load

    load(card.artifact_uri)
