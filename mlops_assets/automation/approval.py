"""The job in which a person approves or rejects a version: what `mlops approve` and `mlops reject` do, in the UI."""

from enum import StrEnum

import dagster as dg
from pydantic import Field

from mlops_assets.assets.deployment import settled
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource


class Verdict(StrEnum):
    """What a person may say."""

    approve = "approve"
    reject = "reject"


class DecideConfig(dg.Config):
    """Who decides what about which version, and why."""

    version: int = Field(description="The version that waits.", ge=1)
    decision: Verdict = Field(description="approve: it takes traffic, as the model's file says; reject: never.")
    reason: str = Field(description="Why; kept with the version.", min_length=1)
    by: str = Field(description="Who decides; kept with the version.", min_length=1)


def decide_job(model: Model) -> dg.JobDefinition:
    """Return the job `<model>_decide`."""

    @dg.op(name=f"{model.name}_decision", out=dg.Out(dg.Nothing), description="Keep the decision, and deploy.")
    def decision(
        context: dg.OpExecutionContext,
        config: DecideConfig,
        lake: LakeResource,
        mlflow: MlflowResource,
        machine: MachineResource,
    ) -> None:
        from mlops_assets.registry.lifecycle import Decision, decide
        from mlops_assets.rollout.mirror import mirror_aliases
        from mlops_assets.rollout.promotion import approve

        state, now, name = lake.state(), machine.clock().now(), model.name
        if config.decision is Verdict.reject:
            decide(state, name, config.version, Decision("rejected", config.by, now, config.reason))
            return mirror_aliases(mlflow.registry(), state, name)
        routing = approve(state, name, config.version, who=config.by, now=now, reason=config.reason, spec=model.rollout)
        if routing is None:
            context.log.info("%s: version %s was approved and routed before", name, config.version)
            return mirror_aliases(mlflow.registry(), state, name)
        metadata = settled(model, routing.history[-1].generation, lake=lake, mlflow=mlflow, machine=machine)
        context.log_event(dg.AssetMaterialization(model.key("deployment"), metadata=metadata))
        return None

    @dg.job(
        name=f"{model.name}_decide",
        executor_def=dg.in_process_executor,
        description="Approve or reject a version that waits; who, when and why are kept with it.",
    )
    def job() -> None:
        decision()

    return job
