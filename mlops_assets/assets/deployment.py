"""The version that takes traffic."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, REASON, VERSION, bound_candidate, note_verdict
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from mlops_assets.registry.lifecycle import VersionCard


def deployment_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/deployment`: routes all traffic to the registered version and waits for running servers."""

    @dg.asset(
        key=model.key("deployment"),
        deps=[model.key("registered_version")],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deployment"},
        output_required=False,  # a version that waits for approval is no failure, and no deployment
        description="The version that takes traffic. The routing object in the lake is the truth; aliases mirror it.",
    )
    def deployment(
        context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> Iterator[dg.MaterializeResult]:
        from mlops_assets.registry.register import card_of

        card = card_of(lake.state(), model.name, candidate_id=bound_candidate(context, model))
        if card.status == "pending":
            _wait_for_approval(context, model, card)
            return
        _load(card)
        reason = context.run.tags.get(REASON, "materialised by hand")
        metadata = deploy(model, card.version, who="", reason=reason, lake=lake, mlflow=mlflow, machine=machine)
        note_verdict(context, "promoted")
        yield dg.MaterializeResult(metadata=metadata)

    return deployment


def deploy(
    model: Model,
    version: int,
    *,
    who: str,
    reason: str,
    lake: LakeResource,
    mlflow: MlflowResource,
    machine: MachineResource,
) -> dict[str, Any]:
    """Route a version, wait for the running servers, mirror the aliases, and return what a deployment shows.

    Raises:
        MlopsError: See `rollout.promotion.promote` and `await_servers`.
    """
    from mlops_assets.registry.lifecycle import known_card
    from mlops_assets.rollout.mirror import try_to_mirror
    from mlops_assets.rollout.promotion import await_servers, promote

    state, now = lake.state(), machine.clock().now()
    generation = promote(state, model.name, version, who=who, now=now, reason=reason)
    timeout_s = model.spec.deployment.wait_seconds
    try:
        servers = await_servers(
            state, model.name, generation, home=machine.folder, env=machine.env, now=now, timeout_s=timeout_s
        )
    finally:
        mirrored = try_to_mirror(mlflow.registry(), state, model.name)
    card = known_card(state, model.name, version)
    return {
        "version": card.version,
        "generation": generation,
        CANDIDATE: card.candidate_id,
        "artifact": card.artifact_uri,
        "servers": servers,
        "aliases": mirrored,
        "routed_at": now.isoformat(),
    }


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


def _load(card: "VersionCard") -> None:
    """Load the saved model and replay its golden rows: where no server runs, nobody else would notice."""
    from mlops_assets.predictor.artifact import load

    load(card.artifact_uri)
