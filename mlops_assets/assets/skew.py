"""The check that what was scored is what the offline path gives today."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.metadata import table
from mlops_assets.assets.model import Model
from mlops_assets.assets.partitions import partitions_def, window_named
from mlops_assets.errors import MlopsError
from mlops_assets.lake.windows import Window
from mlops_assets.resources.places import LakeResource

if TYPE_CHECKING:
    from mlops_assets.features.skew import Skew

NO_SKEW = "no_skew"
SEVERITY = {"warn": dg.AssetCheckSeverity.WARN, "block": dg.AssetCheckSeverity.ERROR}


def skew_check(model: Model) -> dg.AssetChecksDefinition:
    """Return `no_skew` on `<model>/predictions`, which runs when a window is watched, after what may have changed."""
    spec, windows = model.spec.skew_check, partitions_def(model.partitions)

    @dg.asset_check(
        asset=model.key("predictions"),
        name=NO_SKEW,
        blocking=spec.severity == "block",
        partitions_def=windows,
        description="Scored rows, computed again by today's offline path, are what the model saw.",
    )
    def no_skew(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        severity = SEVERITY[spec.severity]
        try:
            skew = _replay(model, window_named(windows, context.partition_key), lake=lake.root)
        except MlopsError as error:
            return dg.AssetCheckResult(passed=False, severity=severity, description=f"Not replayed: {error}")
        found = "; ".join(map(str, skew.findings)) or None
        return dg.AssetCheckResult(
            passed=skew.passed, severity=severity, description=found, metadata=skew_metadata(skew)
        )

    return no_skew


def _replay(model: Model, window: Window, *, lake: str) -> "Skew":
    from mlops_assets.features.skew import check_skew
    from mlops_assets.features.spine import window_spine
    from mlops_assets.lake.tables import read
    from mlops_assets.predictions.score import predictions_uri

    definition = model.definition()
    return check_skew(
        read(predictions_uri(lake, model.name), window=window.key),
        definition,
        lake=lake,
        samples=model.spec.skew_check.samples,
        seed=model.spec.training.seed,
        spine=window_spine(definition, lake=lake, window=window),
    )


def skew_metadata(skew: "Skew") -> dict[str, Any]:
    """Return what a replay found, as metadata."""
    rows = [(one.feature, one.rows, one.nulls, one.largest_error, one.example) for one in skew.findings]
    return {
        "logged_rows": skew.logged_rows,
        "checked_rows": skew.checked_rows,
        "compared": ", ".join(skew.compared),
        "not_logged": ", ".join(skew.not_logged),
        "skew": table(("feature", "rows", "null on one side", "largest error", "example"), rows),
    }
