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
        from mlops_assets.rollout.promotion import promote

        state, now = lake.state(), machine.clock().now()
        card = card_of(state, model.name, candidate_id=bound_candidate(context, model))
        if card.status == "pending":
            _wait_for_approval(context, model, card)
            return
        _load(card)
        reason = context.run.tags.get(REASON, "materialised by hand")
        generation = promote(state, model.name, card.version, who="", now=now, reason=reason)
        metadata = settled(model, generation, lake=lake, mlflow=mlflow, machine=machine)
        note_verdict(context, "promoted")
        yield dg.MaterializeResult(metadata=metadata)

    return deployment


def settled(
    model: Model, generation: int, *, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
) -> dict[str, Any]:
    """Wait for the running servers, mirror the aliases, and return what a deployment shows.

    Raises:
        ServerRefused: A server could not load the version; the traffic went back.
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


def _load(card: "VersionCard") -> None:
    """Load the saved model and replay its golden rows: where no server runs, nobody else would notice."""
    from mlops_assets.predictor.artifact import load

    load(card.artifact_uri)
