"""Write a candidate into its run: model, parameters, metrics, curves, plots and the data behind them."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.predictor import artifact
from mlops_assets.predictor.golden import golden_rows
from mlops_assets.training.plots import importances, plots

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from mlops_assets.predictor.signature import Signature
    from mlops_assets.training.estimators import Recipe
    from mlops_assets.training.fit import Fitted
    from mlops_assets.training.tracking import TrackedRun

CANDIDATE = "candidate"


@dataclass(frozen=True)
class Logged:
    """What a candidate left behind.

    Attributes:
        artifact_uri: The saved model.
        sha256: Its identity.
        plots: PNG bytes by name; the run has them too, under `plots/`.
    """

    artifact_uri: str
    sha256: str
    plots: Mapping[str, bytes]


def log_candidate(
    run: TrackedRun,
    fitted: Fitted,
    table: pa.Table,
    *,
    facts: Mapping[str, Any],
    request_source: bytes | None = None,
    reference_profile: bytes | None = None,
) -> Logged:
    """Save the model and log everything about its training.

    Args:
        facts: Where the rows came from, such as `training_set` (its sha256); kept in the model's manifest, logged as tags.
    """
    pictures = plots(fitted)
    run.log_params({"estimator": fitted.recipe.estimator, "seed": fitted.recipe.seed, **fitted.recipe.params})
    run.log_metrics({**fitted.metrics, **fitted.curves, **_named(importances(fitted))})
    run.set_tags({f"mlops/{name}": str(value) for name, value in facts.items()})
    with tempfile.TemporaryDirectory() as folder:
        for name, png in pictures.items():
            path = Path(folder, "plots", f"{name}.png")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(png)
        run.log_folder(Path(folder))
    uri = log_model(
        run,
        CANDIDATE,
        fitted.pipeline,
        table,
        signature=fitted.signature,
        recipe=fitted.recipe,
        trained_through=fitted.trained_through,
        facts=facts,
        request_source=request_source,
        reference_profile=reference_profile,
    )
    return Logged(uri, artifact.identity(uri), pictures)


def log_model(
    run: TrackedRun,
    name: str,
    pipeline: Pipeline,
    table: pa.Table,
    *,
    signature: Signature,
    recipe: Recipe,
    trained_through: datetime,
    facts: Mapping[str, Any],
    request_source: bytes | None,
    reference_profile: bytes | None,
) -> str:
    """Save a pipeline as the run's artefact `name` and return its URI."""
    ours = {"candidate_id": run.run_id, "recipe": asdict(recipe), "trained_through": trained_through.isoformat()}
    with tempfile.TemporaryDirectory() as folder:
        artifact.save(
            Path(folder),
            pipeline,
            signature=signature,
            golden=golden_rows(table, signature),
            facts={**facts, **ours},
            request_source=request_source,
            reference_profile=reference_profile,
        )
        run.log_folder(Path(folder), name)
    return run.artifact_uri(name)


def _named(shares: Mapping[str, float]) -> dict[str, float]:
    return {f"importance/{name}": share for name, share in shares.items()}
