"""A fitted candidate, with everything that explains it in one MLflow run."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, EVENTS, REASON, TRAINING_SET, bound_training_set
from mlops_assets.assets.metadata import numbers, picture
from mlops_assets.assets.model import Model
from mlops_assets.assets.tuning import search_of, trials_shown
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from mlops_assets.features.training_set import TrainingSet
    from mlops_assets.training.candidate import ReferenceOf
    from mlops_assets.training.fit import Fitted, Search


def candidate_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/candidate`: one fit on one training set; its id is the id of its MLflow run."""
    spec = model.spec

    @dg.asset(
        key=model.key("candidate"),
        deps=[model.key("training_set")],
        group_name=model.name,
        owners=spec.owners,
        kinds={"mlflow", spec.training.estimator.split(".")[0].split(":")[0].lower()},
        pool=f"train_{model.name}",
        description=f"{spec.description} Fitted with {spec.training.estimator}; judged by `evaluation`.",
    )
    def candidate(
        context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> dg.MaterializeResult:
        from mlops_assets.features.training_set import COPY, encode_manifest, load
        from mlops_assets.training.candidate import Extras, log_candidate
        from mlops_assets.training.provenance import code_facts

        uri = bound_training_set(context, model)
        training_set = load(uri, data=spec.training.data)
        mlflow.close_abandoned(context.instance, model.name)
        with mlflow.tracking().run(model.name, tags=_tags(context, machine)) as run:
            sha256 = training_set.manifest.sha256
            search = search_of(model, sha256, run, machine=machine, tracking_uri=mlflow.tracking_uri)
            with run.timed("fit"):
                fitted = _fitted(model, training_set, search)
            code = code_facts(machine.project, spec.model_dump(mode="json"), dagster_run=context.run.run_id)
            extras = Extras(
                facts={"training_set_uri": uri, "training_set": sha256, **code},
                request_source=model.definition().request.source,
                reference_of=reference_of(model, training_set),
                lookup=_lookup(model, training_set, lake),
            )
            run.log_bytes(COPY, encode_manifest(training_set.manifest))
            run.log_dataset("training_set", digest=sha256, uri=uri)
            logged = log_candidate(run, fitted, training_set.table, extras=extras)
        return dg.MaterializeResult(
            metadata={
                CANDIDATE: logged.run_id,
                TRAINING_SET: uri,
                "mlflow_run": dg.MetadataValue.url(logged.url),
                "artifact": logged.artifact_uri,
                **numbers(logged.metrics),
                **{name: picture(png, title=name) for name, png in logged.pictures.items()},
                **trials_shown(run),
            }
        )

    return candidate


def _fitted(model: Model, training_set: "TrainingSet", search: "Search | None") -> "Fitted":
    from mlops_assets.training.fit import train

    spec, manifest = model.spec, training_set.manifest
    return train(
        training_set.table,
        task=spec.task,
        features=manifest.features,
        request_inputs=spec.request.inputs,
        split_spec=spec.split,
        spec=spec.training,
        label_delay=model.label_timeout,
        search=search,
    )


def _lookup(model: Model, training_set: "TrainingSet", lake: LakeResource) -> dict[str, Any]:
    """Return what a server looks up for the model; its views must be those that it was trained on."""
    from mlops_assets.features.online.plan import plan_of, to_json

    spec, columns = model.spec, training_set.table.schema
    plan = plan_of(model.definition(), training_set.manifest, columns, lake=lake.root, fallback=spec.serving.fallback)
    return to_json(plan)


def reference_of(model: Model, training_set: "TrainingSet") -> "ReferenceOf":
    """Return what makes a version's reference profile: its features and outputs in each window of the training set."""
    from mlops_assets.monitoring.reference import build_reference

    windows = model.partitions.windows(training_set.manifest.as_of)
    kinds = training_set.manifest.features
    return lambda table, outputs: build_reference(table, outputs, kinds, windows=windows).to_json()


def _tags(context: dg.AssetExecutionContext, machine: MachineResource) -> dict[str, str]:
    run_id = context.run.run_id
    named = {name: context.run.tags[name] for name in (EVENTS, REASON) if name in context.run.tags}
    return {"dagster/run_id": run_id, "dagster/run_url": f"{machine.dagster_url}/runs/{run_id}", **named}
