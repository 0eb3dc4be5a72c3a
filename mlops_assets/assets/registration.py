"""The registered version that an approved verdict allows, with its model card."""

from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, bound_candidate
from mlops_assets.assets.metadata import link, table
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from mlops_assets.registry.lifecycle import VersionCard
    from mlops_assets.training.tracked_run import TrackedRun

MODEL_CARD = "mlops/model_card"


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

        run = mlflow.tracking().open_run(bound_candidate(context, model))
        registry, state = mlflow.registry(), lake.state()
        approval, now = model.spec.approval, machine.clock().now()
        card = register_run(registry, state, run, model=model.name, approval=approval, now=now)
        page = _write_model_card(model, run, card)
        registry.set_tags(model.name, card.version, {MODEL_CARD: page})
        mirror_aliases(registry, state, model.name)
        return dg.MaterializeResult(
            metadata={
                "version": card.version,
                "status": card.status,
                CANDIDATE: run.run_id,
                "artifact": card.artifact_uri,
                "model_card": link(page),
                "mlflow_run": dg.MetadataValue.url(run.url),
                "lineage": table(("input", "value"), sorted(card.lineage.items())),
            }
        )

    return registered_version


def _write_model_card(model: Model, run: "TrackedRun", card: "VersionCard") -> str:
    """Write the model card of a version into its run and return where the page is."""
    from mlops_assets.evaluation.report.model_card import Described, write_model_card
    from mlops_assets.evaluation.verdict import read_verdict
    from mlops_assets.features.training_set import COPY, decode_manifest
    from mlops_assets.predictor.artifact import read_manifest

    verdict, training_set = read_verdict(run), run.read_bytes(COPY)
    assert verdict is not None, "registration has read it"
    assert training_set is not None, "the candidate wrote it"
    described = Described(
        name=model.name,
        version=card.version,
        description=model.spec.description,
        owners=model.spec.owners,
        said=model.spec.card,
        manifest=read_manifest(card.artifact_uri),
        training_set=decode_manifest(training_set),
        verdict=verdict,
        metrics=run.metrics(),
        lineage=card.lineage,
        registered_at=card.registered_at,
    )
    return write_model_card(run, described)
