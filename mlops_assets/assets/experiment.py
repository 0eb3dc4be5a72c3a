"""The experiment of a model: each materialisation is one look, and the decision when it is due."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.deployment import settled
from mlops_assets.assets.metadata import link, numbers, picture, table
from mlops_assets.assets.model import Model
from mlops_assets.assets.prediction_log import label_rules
from mlops_assets.resources.places import LakeResource, MachineResource, MlflowResource

if TYPE_CHECKING:
    from mlops_assets.experiment.state import Experiment, GuardrailLook, Look

VALID = "experiment_valid"


def experiment_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/experiment`: looks once at the experiment that runs, ends it when it is decided, and tells the story."""
    key = model.key("experiment")

    @dg.asset(
        key=key,
        deps=[model.key("deployment"), model.key("prediction_log")],
        check_specs=[
            dg.AssetCheckSpec(
                VALID, asset=key, description="The units fall to the arms as planned, and no guardrail broke."
            )
        ],
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"experiment"},
        output_required=False,  # without an experiment there is nothing to look at
        description="Champion against challenger: plan, units, guardrails, and the verdict when it is due. One run is one look.",
    )
    def experiment(
        lake: LakeResource, mlflow: MlflowResource, machine: MachineResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        found = _looked(model, lake=lake, machine=machine)
        if found is None:
            text = f"No experiment yet: `mlops experiment start {model.name} VERSION --hypothesis TEXT` begins one."
            yield dg.AssetCheckResult(check_name=VALID, passed=True, description=text)
            return
        followed = {} if found.is_running else _followed(model, lake=lake, mlflow=mlflow, machine=machine)
        metadata = {**_story(found, lake.root), **followed}
        yield dg.MaterializeResult(metadata=metadata, check_results=[_validity(found)])

    return experiment


def _looked(model: Model, *, lake: LakeResource, machine: MachineResource) -> "Experiment | None":
    """Finish what was cut off, look if it runs, and write the record if it has ended."""
    from mlops_assets.experiment.analysis import look
    from mlops_assets.experiment.lifecycle import note, settle
    from mlops_assets.experiment.reading import observe
    from mlops_assets.experiment.record import write_decision
    from mlops_assets.predictions.log.look import Log
    from mlops_assets.predictions.log.segments import log_folder

    state, now = lake.state(), machine.clock().now()
    found = settle(state, model.name, now=now)
    if found is not None and found.is_running:
        log = Log(log_folder(machine.folder, machine.env), lake.root, model.spec.task)
        seen = observe(log, found, label_rules(model, lake), now=now)
        found = note(state, found, look(found, seen, now), now=now)
    if found is not None and not found.is_running:
        write_decision(lake.root, found)
    return found


def _followed(model: Model, *, lake: LakeResource, mlflow: MlflowResource, machine: MachineResource) -> dict[str, Any]:
    """Wait until the servers have followed its end, mirror the aliases, and return what became of both."""
    from mlops_assets.rollout.errors import ServerRefused
    from mlops_assets.rollout.routing import read_routing

    stored = read_routing(lake.state(), model.name)
    if stored is None:
        return {}
    try:
        shown = settled(model, stored[0].history[-1].generation, lake=lake, mlflow=mlflow, machine=machine)
    except ServerRefused as error:
        return {"servers": str(error)}
    return {name: shown[name] for name in ("generation", "servers", "aliases")}


def _story(found: "Experiment", lake: str) -> dict[str, Any]:
    """Return what the asset's page shows; numbers plot themselves over the looks."""
    from mlops_assets.experiment.record import (
        ARM_COLUMNS,
        arm_rows,
        decision_uri,
        plan_facts,
        told_means,
        told_ratio,
        verdict_of,
    )

    last = found.looks[-1] if found.looks else None
    plan = [(name, str(value)) for name, value in plan_facts(found).items() if value is not None]
    return {
        "experiment": found.id,
        "phase": found.phase,
        "hypothesis": found.hypothesis,
        "verdict": verdict_of(found) or "not yet",
        "said": " ".join(last.said) if last else found.actions[-1].why,
        "arms": table(ARM_COLUMNS, arm_rows(found, last)),
        **({"means": means} if (means := told_means(last)) else {}),
        "plan": table(("planned", ""), plan),
        **({"sample_ratio": told_ratio(last)} if last else {}),
        **({"guardrails": table(("guardrail", "verdict", "said"), _rails(last))} if last and last.guardrails else {}),
        **numbers(_plotted(last)),
        **_chart(found),
        **({} if found.is_running else {"decision": link(decision_uri(lake, found))}),
    }


def _rails(last: "Look") -> list[tuple[str, str, str]]:
    """Return a row for each guardrail, in the few columns that the page has room for."""
    return [
        (one.name, "breached" if one.is_breached else "holds", f"{one.said}; {_worse(one)}p {one.p:.2g}")
        for one in last.guardrails
    ]


def _worse(rail: "GuardrailLook") -> str:
    return "" if rail.value is None else f"worse by {rail.value:.3g}, margin {rail.limit:g}, "


def _plotted(last: "Look | None") -> dict[str, float | None]:
    if last is None:
        return {}
    arms = {"champion_outcomes": last.outcomes[0], "challenger_outcomes": last.outcomes[1]}
    shown = {**arms, "sample_ratio_p": last.ratio_p}
    if one := last.primary:
        shown |= {
            "difference": one.difference,
            "difference_low": one.low,
            "difference_high": one.high,
            "p_value": one.p,
        }
    return shown


def _chart(found: "Experiment") -> dict[str, Any]:
    from mlops_assets.experiment.picture import sequence_chart

    png = sequence_chart(found)
    return {} if png is None else {"difference over time": picture(png, title="Difference over time")}


def _validity(found: "Experiment") -> dg.AssetCheckResult:
    """Fail where a person should look: what is seen cannot be trusted, or something broke."""
    last = found.looks[-1] if found.looks else None
    is_sound = last is None or last.verdict not in {"invalid", "breach"}
    return dg.AssetCheckResult(
        check_name=VALID,
        passed=is_sound,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(last.said) if last else "Nothing was seen yet.",
        metadata={"experiment": found.id, "phase": found.phase},
    )
