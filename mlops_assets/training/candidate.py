"""Write a candidate into its run: model, parameters, metrics, curves and plots."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.predictor import artifact
from mlops_assets.predictor.outputs import output_columns
from mlops_assets.predictor.scoring import score
from mlops_assets.training.description import EXAMPLE_ROWS, description
from mlops_assets.training.importance import importances
from mlops_assets.training.plots import score_plots, training_plots
from mlops_assets.training.split import BOUNDS
from mlops_assets.training.stream import described_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from mlops_assets.predictor.signature import Signature
    from mlops_assets.training.estimators import Recipe
    from mlops_assets.training.fit import Fitted
    from mlops_assets.training.tracking import TrackedRun

    ReferenceOf = Callable[[pa.Table, Mapping[str, pa.Array[Any]]], bytes]

CANDIDATE = "candidate"


@dataclass(frozen=True)
class Extras:
    """What travels with a saved model besides the model.

    Attributes:
        facts: Where it came from, such as `training_set` (a sha256); values that JSON can hold.
        request_source: Source of the request function.
        lookup: What a server looks up for a request (`features.online.plan`), as JSON holds it.
        reference_of: Makes the reference profile of monitoring from the training rows and what the model says
            of them (`predictor.outputs`).
    """

    facts: Mapping[str, Any]
    request_source: bytes | None = None
    reference_of: ReferenceOf | None = None
    lookup: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Logged:
    """What a candidate left behind.

    Attributes:
        artifact_uri: The saved model.
        sha256: Its identity.
        metrics: `<part>_<metric>`.
        pictures: PNG bytes by name; the run has them too, under `plots/`.
    """

    run_id: str
    url: str
    artifact_uri: str
    sha256: str
    metrics: Mapping[str, float]
    pictures: Mapping[str, bytes]


def log_candidate(run: TrackedRun, fitted: Fitted, table: pa.Table, *, extras: Extras) -> Logged:
    """Save the model as the run's artefact `candidate` and log everything about its training.

    Args:
        table: The training set that it was fitted on.
    """
    recipe, split, signature = fitted.recipe, fitted.split, fitted.signature
    shares = importances(fitted, table)
    labels, scores = fitted.validation_labels, fitted.validation_scores
    pictures = score_plots(labels, scores, task=signature.task, classes=signature.classes, part="validation")
    pictures |= training_plots(fitted.curves, shares)
    run.log_params(_params(recipe))
    importance = {f"importance/{name}": share for name, share in shares.items()}
    run.log_metrics({**fitted.metrics, **fitted.curves, **importance})
    run.set_tags({f"mlops/{name}": str(value) for name, value in extras.facts.items()})
    run.log_files("plots", {f"{name}.png": png for name, png in pictures.items()})
    run.log_files(None, description(signature, table.take(split.validation[:EXAMPLE_ROWS])))
    training = {
        "candidate_id": run.run_id,
        "recipe": asdict(recipe),
        "asked": asdict(fitted.asked),
        "trained_through": fitted.trained_through.isoformat(),
        **{name: getattr(split, name).isoformat() for name in BOUNDS},
    }
    both = replace(extras, facts={**extras.facts, **training})
    uri = log_model(run, CANDIDATE, fitted.pipeline, table, signature=fitted.signature, extras=both)
    return Logged(run.run_id, run.url, uri, artifact.identity(uri), fitted.metrics, pictures)


def _params(recipe: Recipe) -> dict[str, Any]:
    """Return everything that decides the fit, single numbers apart, and nothing that the file leaves open."""
    said = {name: value for name, value in asdict(recipe).items() if value not in (None, {})}
    return {**said.pop("params", {}), **said}


def log_model(
    run: TrackedRun, name: str, pipeline: Pipeline, table: pa.Table, *, signature: Signature, extras: Extras
) -> str:
    """Save a pipeline as the run's artefact `name` and return its URI."""
    rows, reference = described_by(table), None
    if extras.reference_of is not None:
        reference = extras.reference_of(rows, output_columns(score(pipeline, rows, signature), signature))
    with tempfile.TemporaryDirectory() as folder:
        artifact.save(
            Path(folder),
            pipeline,
            signature=signature,
            rows=rows,
            facts={**extras.facts, "data": "memory" if rows is table else "stream", "reference_rows": rows.num_rows},
            request_source=extras.request_source,
            reference_profile=reference,
            lookup=extras.lookup,
        )
        run.log_folder(Path(folder), name)
    return run.artifact_uri(name)
