"""Scores of the windows of the spine's table, with the contract of the predictions as checks."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.contract_checks import contract_check_results, raw_key
from mlops_assets.assets.metadata import link, numbers
from mlops_assets.assets.metadata import table as markdown_table
from mlops_assets.assets.model import Model
from mlops_assets.assets.partitions import partitions_def, windows_of
from mlops_assets.assets.scoring import INPUTS, score_one
from mlops_assets.resources.places import LakeResource

if TYPE_CHECKING:
    from mlops_assets.assets.scoring import ScoredWindow

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]
HELD = "Nothing calls for an investigation of the inputs. Otherwise the window is scored, but not published."


def predictions_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/predictions`.

    A window is scored with the version routed at its start, so history is never scored with a model that has seen it.
    Several windows of one run are published one by one; one that is refused does not keep the others back.
    """
    key = model.key("predictions")

    @dg.asset(
        key=key,
        deps=[
            raw_key(model.table),
            *(dg.AssetKey(["features", view]) for view in model.views),
            model.key("deployment"),
        ],
        partitions_def=partitions_def(model.partitions),
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=list(_check_specs(model)),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake"},
        description="Scores with the vectors they came from, by the version that was routed at the window's start.",
    )
    def predictions(context: dg.AssetExecutionContext, lake: LakeResource) -> Results:
        state = lake.state()
        parts = [score_one(model, window, lake=lake.root, state=state) for window in windows_of(context)]
        yield from contract_check_results(context, key, parts)
        yield from _materialized(context, key, parts, lake.root)

    return predictions


def check_names(model: Model) -> list[str]:
    """Return the checks that come with the scores."""
    from mlops_assets.predictions.contract import CONDITIONS

    return [*CONDITIONS, *([INPUTS] if model.spec.scoring.hold_on_drift else [])]


def _check_specs(model: Model) -> Iterator[dg.AssetCheckSpec]:
    from mlops_assets.predictions.contract import CONDITIONS

    for name in check_names(model):
        yield dg.AssetCheckSpec(
            name,
            asset=model.key("predictions"),
            partitions_def=partitions_def(model.partitions),
            description=CONDITIONS.get(name, HELD),
        )


def _materialized(
    context: dg.AssetExecutionContext, key: dg.AssetKey, parts: "Sequence[ScoredWindow]", lake: str
) -> Iterator[dg.MaterializeResult]:
    """Yield the run's materialisation; where a window is refused, log those of the others and fail."""
    refused = [part for part in parts if part.refusal]
    if not refused:
        for part in parts:
            context.add_asset_metadata(_metadata(part, lake, key.path[0]), asset_key=key, partition_key=part.window)
        yield dg.MaterializeResult()
        return
    for part in parts:
        if not part.refusal:
            facts = _metadata(part, lake, key.path[0])
            context.log_event(dg.AssetMaterialization(key, partition=part.window, metadata=facts))
    raise dg.Failure(
        description="\n".join(str(part.refusal) for part in refused),
        metadata={f"report_{part.window}": link(part.report_uri) for part in refused},
        allow_retries=False,
    )


def _metadata(part: "ScoredWindow", lake: str, model: str) -> dict[str, Any]:
    from mlops_assets.predictions.held import held_uri
    from mlops_assets.predictions.score import predictions_uri

    found = [(one.rule, "passed" if one.passed else one.severity, one.detail) for one in part.findings]
    return {
        "dagster/row_count": part.rows,
        "dagster/uri": held_uri(lake, model) if part.outcome == "held" else predictions_uri(lake, model),
        "outcome": part.outcome,
        "version": part.model_version,
        "form": part.form,
        "contract": markdown_table(("check", "", "found"), found),
        "report": link(part.report_uri),
        **({} if part.delta_version is None else {"delta_version": part.delta_version}),
        **numbers({"score_mean": part.score_mean}),
    }
