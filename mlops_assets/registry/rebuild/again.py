"""Fit a version again, from its rows and its recipe, and save it as it was saved."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.evaluation.verdict import REFIT
from mlops_assets.predictor import artifact
from mlops_assets.training.estimators import Recipe
from mlops_assets.training.fit import learn, refit
from mlops_assets.training.rows import learning_rows
from mlops_assets.training.split import BOUNDS, split_at
from mlops_assets.training.stream import described_by

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from mlops_assets.registry.rebuild.recorded import Recorded


def save_again(recorded: Recorded, table: pa.Table, folder: Path, *, request_source: bytes | None) -> None:
    """Fit the candidate again, and its refit if that is what was registered, and save it with the same facts."""
    signature = recorded.manifest.signature
    artifact.save(
        folder,
        _pipeline(recorded, table),
        signature=signature,
        rows=described_by(table),
        facts=recorded.manifest.facts,
        request_source=request_source,
        lookup=recorded.manifest.lookup,
    )


def _pipeline(recorded: Recorded, table: pa.Table) -> Pipeline:
    signature, facts = recorded.candidate.signature, recorded.facts
    split = split_at(table, *(datetime.fromisoformat(facts[name]) for name in BOUNDS))
    asked = Recipe(**facts["asked"])
    learned = learn(learning_rows(table, split, signature, sample_weight=asked.sample_weight), asked)
    if recorded.artefact != REFIT:
        return learned.pipeline
    return refit(table, learned.recipe, signature=signature, candidate=learned.pipeline)
