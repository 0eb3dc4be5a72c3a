"""Registered versions that weigh nothing: a manifest, a card, and a version in MLflow."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.evaluation.verdict import Approved
from mlops_assets.features.labels import LabelCounts
from mlops_assets.features.training_set import Manifest, TrainingSet, content_sha256, save
from mlops_assets.lake.state import StateStore, open_state
from mlops_assets.registry.lifecycle import VersionCard
from mlops_assets.registry.register import register_approved
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.mirror import mirror_aliases
from mlops_assets.rollout.routing import read_routing
from mlops_assets.settings import load_settings
from mlops_assets.training.tracking import open_tracking

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@dataclass
class World:
    """One deployment with a home of its own; `MLOPS_HOME` points to it."""

    folder: Path

    @property
    def state(self) -> StateStore:
        return open_state(load_settings().lake)

    @property
    def registry(self) -> MlflowRegistry:
        settings = load_settings()
        return MlflowRegistry(settings.mlflow_uri, settings.env)

    def train(self, *, approval: str = "auto", model: str = "delay") -> VersionCard:
        """Register a candidate with a run of MLflow's and a training set."""
        settings = load_settings()
        with open_tracking(settings).run(model, tags={"mlops/commit": "abc"}) as run:
            run.log_params({"depth": 3})
            run.log_metrics({"test_roc_auc": 0.75})
            run.log_bytes("report.html", b"<p>fine</p>")
        saved = save(tiny_training_set(), settings.lake, model)
        lineage = {"mlops/training_set": saved.sha256, "mlops/training_set_uri": saved.uri}
        folder = Path(run.root) / "candidate"
        return self.register(run.run_id, approval=approval, model=model, folder=folder, lineage=lineage)

    def register(
        self,
        candidate: str,
        *,
        approval: str = "auto",
        model: str = "delay",
        folder: Path | None = None,
        lineage: dict[str, str] | None = None,
    ) -> VersionCard:
        artifact = folder or self.folder / "models" / candidate
        artifact.mkdir(parents=True)
        files = {"weights": hashlib.sha256(candidate.encode()).hexdigest()}
        (artifact / "weights").write_bytes(candidate.encode())
        (artifact / "manifest.json").write_text(str({"files": files}).replace("'", '"'))
        sha256 = hashlib.sha256((artifact / "manifest.json").read_bytes()).hexdigest()
        verdict = Approved(candidate_id=candidate, criteria=(), notes=(), candidate_sha256=sha256, evaluated_at=NOW)
        card = register_approved(
            self.registry,
            self.state,
            verdict,
            model=model,
            artifact_uri=str(artifact),
            lineage=lineage or {"mlops/training_set": f"data of {candidate}"},
            approval=approval,
            now=NOW,
        )
        mirror_aliases(self.registry, self.state, model)
        return card

    def live(self, model: str = "delay") -> int | None:
        stored = read_routing(self.state, model)
        return stored[0].champion.version if stored else None

    def aliases(self, model: str = "delay") -> dict[str, int]:
        found = {name: self.registry.by_alias(model, name) for name in ("challenger", "champion", "previous")}
        return {name: version.version for name, version in found.items() if version}


def tiny_training_set() -> TrainingSet:
    table = pa.table({"amount": [1.0, 2.0], "label": [0, 1]})
    features = {"amount": "numeric"}
    manifest = Manifest(
        sha256=content_sha256(table, features),
        as_of=NOW,
        rows=2,
        labels=LabelCounts(*[0] * len(dataclasses.fields(LabelCounts))),
        features=features,
        spine_definition="bb",
        request_sha256=None,
        sources={"shop/orders": 4},
        views={},
        libraries={},
    )
    return TrainingSet(table, manifest)


def mlops(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output
