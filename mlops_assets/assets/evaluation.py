"""The verdict on a candidate."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.binding import CANDIDATE, bound_candidate, note_verdict
from mlops_assets.assets.candidate import reference_of
from mlops_assets.assets.metadata import link, numbers, picture, table
from mlops_assets.assets.model import Model
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from mlops_assets.evaluation.evaluate import Evaluation
    from mlops_assets.evaluation.verdict import Verdict
    from mlops_assets.predictor.artifact import Predictor
    from mlops_assets.training.tracked_run import TrackedRun

GATE = "gate"
INFORMS = {
    "slices": "No slice falls too far behind.",
    "fairness": "Declared groups are treated alike.",
    "serving": "The saved model gives the scores that were judged, within its budget.",
}


def evaluation_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/evaluation`: the verdict on the test rows; its blocking check is the gate, others say what failed."""
    key, kinds = model.key("evaluation"), _kinds(model)

    @dg.asset(
        key=key,
        deps=[model.key("candidate")],
        check_specs=[
            dg.AssetCheckSpec(GATE, asset=key, blocking=True, description="Every criterion of the gate is met."),
            *(dg.AssetCheckSpec(kind, asset=key, description=f"{INFORMS[kind]} Part of the gate.") for kind in kinds),
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
        from mlops_assets.features.training_set import load

        run = mlflow.tracking().open_run(bound_candidate(context, model))
        training_set = load(run.tags()["mlops/training_set_uri"], data=model.spec.training.data)
        evaluated = evaluate(
            training_set.table,
            run,
            champion=_champion(lake, model),
            gate=model.spec.gate,
            refit_approved=model.spec.training.refit,
            reference_of=reference_of(model, training_set),
            now=machine.clock().now(),
        )
        checks = [_check(evaluated.verdict, kind) for kind in (GATE, *kinds)]
        if not checks[0].passed:
            note_verdict(context, "rejected")
        report = write_report(run, model.name, evaluated)
        yield dg.MaterializeResult(metadata=_metadata(run, evaluated, report))
        yield from checks

    return evaluation


def _kinds(model: Model) -> list[str]:
    """Return the kinds of criteria that have a check of their own, so that the UI shows which of them failed."""
    gate = model.spec.gate
    declared = {"slices": gate.slices, "fairness": gate.fairness, "serving": True}
    return [kind for kind in INFORMS if declared[kind]]


def _check(verdict: "Verdict", kind: str) -> dg.AssetCheckResult:
    """Return the result of all criteria (the gate), or of those of one kind."""
    asked = [one for one in verdict.criteria if kind in (GATE, one.kind)]
    failed = [one.reason for one in asked if not one.passed]
    said = verdict.reasons if kind == GATE else failed or [one.reason for one in asked]
    return dg.AssetCheckResult(check_name=kind, passed=bool(asked) and not failed, description="; ".join(said))


def _metadata(run: "TrackedRun", evaluated: "Evaluation", report: str) -> dict[str, Any]:
    verdict = evaluated.verdict
    rows = [(c.kind, c.name, c.observed, c.low, c.high, c.threshold, c.passed) for c in verdict.criteria]
    parts = [
        (c.name, part.name, part.rows, part.observed, part.gap, part.low, part.high, part.passed, part.note)
        for c in verdict.criteria
        for part in c.parts
    ]
    header = ("criterion", "part", "rows", "observed", "gap", "low", "high", "passed", "note")
    return {
        CANDIDATE: run.run_id,
        "mlflow_run": dg.MetadataValue.url(run.url),
        "report": link(report),
        "verdict": "approved" if verdict.is_approved else "rejected",
        "criteria": table(("kind", "criterion", "observed", "low", "high", "threshold", "passed"), rows),
        **({"parts": table(header, parts)} if parts else {}),
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in verdict.reasons)),
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in verdict.notes)),
        **numbers({one.name: one.observed for one in verdict.criteria}, prefix="gate/"),
        **numbers(evaluated.metrics),
        **{name: picture(png, title=name) for name, png in evaluated.pictures.items()},
    }


def _champion(lake: LakeResource, model: Model) -> "Predictor | None":
    """Return the model that takes traffic now as the gate judged it, before its refit (ADR 0011)."""
    from mlops_assets.evaluation.evaluate import load_judged
    from mlops_assets.rollout.routing import read_routing

    routing = read_routing(lake.state(), model.name)
    return load_judged(routing[0].champion.artifact_uri) if routing else None
