"""The mishap of the demo: a version that is quick, never fails and is wrong, registered by hand where no gate looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.cli.demo.story import MODEL
from mlops_assets.registry.lifecycle import Decision, VersionCard, add_card

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.resources.places import MlflowResource
    from mlops_assets.rollout.state import Route
    from mlops_assets.training.tracked_run import TrackedRun

NAME = "candidate"
WHY = "registered by hand, past the gate: somebody had turned the labels around"


def register_mishap(champion: Route, mlflow: MlflowResource, *, state: StateStore, now: datetime) -> VersionCard:
    """Learn the champion's recipe on labels that were turned around, and register what comes of it."""
    from mlops_assets.predictor.artifact import identity

    with mlflow.tracking().run(MODEL, tags={"mlops/reason": WHY}) as run:
        uri = _save_wrong(champion, run)
    version = mlflow.registry().register(MODEL, candidate_id=run.run_id, run_id=run.run_id, artifact_uri=uri, tags={})
    card = VersionCard(
        name=MODEL,
        version=version.version,
        candidate_id=run.run_id,
        run_id=run.run_id,
        artifact_uri=uri,
        sha256=identity(uri),
        registered_at=now,
        decisions=(Decision("approved", "a colleague", now, WHY),),
    )
    return add_card(state, card)


def _save_wrong(champion: Route, run: TrackedRun) -> str:
    import numpy as np
    import pyarrow as pa

    from mlops_assets.features.training_set import load as load_set
    from mlops_assets.predictor.artifact import load
    from mlops_assets.training.candidate import Extras, log_model
    from mlops_assets.training.estimators import Recipe
    from mlops_assets.training.fit import refit

    predictor = load(champion.artifact_uri)
    facts, signature = predictor.manifest.facts, predictor.manifest.signature
    table = load_set(facts["training_set_uri"]).table
    place = table.column_names.index("label")
    wrong = table.set_column(place, "label", pa.array(1 - np.asarray(table["label"])))
    pipeline = refit(wrong, Recipe(**facts["recipe"]), signature=signature, candidate=predictor.pipeline)
    extras = Extras({"training_set_uri": facts["training_set_uri"]}, predictor.request_source)
    return log_model(run, NAME, pipeline, table, signature=signature, extras=extras)
