"""The registered version that an approved verdict allows."""

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, bound_candidate
from mlops_assets.assets.metadata import table
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource


def registered_version_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/registered_version`: lets a candidate in only with an approved verdict, read again here."""

    @dg.asset(
        key=model.key("registered_version"),
        deps=[model.key("evaluation")],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"mlflow"},
        description="The version in the model registry, with its lineage. A blocking check guards only its own run.",
    )
    def registered_version(
        context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> dg.MaterializeResult:
        from mlops_assets.registry.register import register_run
        from mlops_assets.rollout.mirror import mirror_aliases

        run, registry, state = (
            mlflow.tracking().open_run(bound_candidate(context, model)),
            mlflow.registry(),
            lake.state(),
        )
        approval, now = model.spec.approval, machine.clock().now()
        card = register_run(registry, state, run, model=model.name, approval=approval, now=now)
        mirror_aliases(registry, state, model.name)
        return dg.MaterializeResult(
            metadata={
                "version": card.version,
                "status": card.status,
                CANDIDATE: run.run_id,
                "artifact": card.artifact_uri,
                "mlflow_run": dg.MetadataValue.url(run.url),
                "lineage": table(("input", "value"), sorted(card.lineage.items())),
            }
        )

    return registered_version
