"""The verdict on a candidate."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, bound_candidate, note_verdict
from mlops_assets.assets.candidate import reference_of
from mlops_assets.assets.metadata import link, numbers, table
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.training.tracking import Tracking

GATE = "gate"


def evaluation_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/evaluation`: floor, baseline and champion on the test rows; its blocking check is the gate."""
    key = model.key("evaluation")

    @dg.asset(
        key=key,
        deps=[model.key("candidate")],
        check_specs=[
            dg.AssetCheckSpec(GATE, asset=key, blocking=True, description="Every criterion of the gate is met.")
        ],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"gate"},
        description="The verdict: every criterion with its interval. Registration reads it again.",
    )
    def evaluation(
        context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mlops_assets.evaluation.evaluate import evaluate
        from mlops_assets.evaluation.report.report import write_report
        from mlops_assets.evaluation.verdict import Approved
        from mlops_assets.features.training_set import load

        tracking = mlflow.tracking()
        run = tracking.open_run(bound_candidate(context, model))
        training_set = load(run.tags()["mlops/training_set_uri"], data=model.spec.training.data)
        evaluated = evaluate(
            training_set.table,
            run,
            champion=_champion(lake, tracking, model),
            gate=model.spec.gate,
            refit_approved=model.spec.training.refit,
            reference_of=reference_of(model, training_set),
            now=machine.clock().now(),
        )
        verdict = evaluated.verdict
        approved = isinstance(verdict, Approved)
        if not approved:
            note_verdict(context, "rejected")
        yield dg.MaterializeResult(
            metadata={
                CANDIDATE: run.run_id,
                "mlflow_run": dg.MetadataValue.url(run.url),
                "report": link(write_report(run, model.name, evaluated)),
                "verdict": "approved" if approved else "rejected",
                "criteria": table(
                    ("criterion", "observed", "low", "high", "threshold", "passed"),
                    [(c.name, c.observed, c.low, c.high, c.threshold, c.passed) for c in verdict.criteria],
                ),
                "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in verdict.reasons)),
                **numbers({criterion.name: criterion.observed for criterion in verdict.criteria}, prefix="gate/"),
            }
        )
        yield dg.AssetCheckResult(check_name=GATE, passed=approved, description="; ".join(verdict.reasons))

    return evaluation


def _champion(lake: LakeResource, tracking: "Tracking", model: Model) -> "Predictor | None":
    """Return the model that takes traffic now as the gate judged it, before its refit (ADR 0011)."""
    from mlops_assets.evaluation.evaluate import load_judged
    from mlops_assets.rollout.routing import read_routing

    routing = read_routing(lake.state(), model.name)
    return load_judged(tracking, routing[0].champion.candidate_id) if routing else None
