"""Scores of one window of the spine's table."""

import dagster as dg

from mlops_assets.assets.contract_checks import raw_key
from mlops_assets.assets.metadata import numbers
from mlops_assets.assets.model import Model
from mlops_assets.assets.partitions import partitions_def, window_of
from mlops_assets.resources.places import LakeResource


def predictions_asset(model: Model) -> dg.AssetsDefinition:
    """Return `<model>/predictions`.

    A window is scored with the version routed at its start, so history is never scored with a model that has seen it.
    """

    @dg.asset(
        key=model.key("predictions"),
        deps=[
            raw_key(model.table),
            *(dg.AssetKey(["features", view]) for view in model.views),
            model.key("deployment"),
        ],
        partitions_def=partitions_def(model.partitions),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake"},
        description="Scores with the vectors they came from, by the version that was routed at the window's start.",
    )
    def predictions(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
        from mlops_assets.contract.verdict import require_published
        from mlops_assets.features.vectors import window_vectors
        from mlops_assets.predictions.score import predictions_uri, publish, score_window
        from mlops_assets.predictor.artifact import load
        from mlops_assets.rollout.routing import champion_at

        window = window_of(context)
        source, table = model.table.split("/")
        require_published(lake.root, source, table, window.key)
        route = champion_at(lake.state(), model.name, window.start)
        vectors = window_vectors(model.definition(), lake=lake.root, window=window)
        scored = score_window(vectors, load(route.artifact_uri), model_version=route.version)
        version = publish(lake.root, model.name, scored, window)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": scored.num_rows,
                "dagster/uri": predictions_uri(lake.root, model.name),
                "delta_version": version,
                "version": route.version,
                **numbers({"score_mean": _mean(scored["score"].to_pylist())}),
            }
        )

    return predictions


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
