"""The registered version that an approved verdict allows."""

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, EVENTS, bound_candidate
from mlops_assets.assets.metadata import table
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import MlflowResource


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
    def registered_version(context: dg.AssetExecutionContext, mlflow: MlflowResource) -> dg.MaterializeResult:
        from mlops_assets.registry.register import register_run

        run = mlflow.tracking().open_run(bound_candidate(context, model))
        tags = {name: value for name, value in run.tags().items() if name.startswith("mlops/") and name != EVENTS}
        version = register_run(
            mlflow.registry(), run, model=model.name, lineage={**tags, "dagster/run_id": context.run.run_id}
        )
        return dg.MaterializeResult(
            metadata={
                "version": version.version,
                CANDIDATE: run.run_id,
                "artifact": version.artifact_uri,
                "mlflow_run": dg.MetadataValue.url(run.url),
                "lineage": table(("input", "value"), sorted(version.tags.items())),
            }
        )

    return registered_version
