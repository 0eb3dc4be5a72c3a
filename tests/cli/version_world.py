"""Registered versions that weigh nothing: a manifest, a card, and a version in MLflow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.evaluation.verdict import Approved
from mlops_assets.lake.state import StateStore, open_state
from mlops_assets.registry.lifecycle import VersionCard
from mlops_assets.registry.register import register_approved
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.mirror import mirror_aliases
from mlops_assets.rollout.routing import read_routing
from mlops_assets.settings import load_settings

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

    def register(self, candidate: str, *, approval: str = "auto", model: str = "delay") -> VersionCard:
        artifact = self.folder / "models" / candidate
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
            lineage={"mlops/training_set": f"data of {candidate}"},
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
