"""What the versions that stand in a log take and give, read from their manifests when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.predictor.artifact import read_manifest
from mlops_assets.registry.lifecycle import read_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.lake.state import StateStore
    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.predictor.signature import Kind


@dataclass(frozen=True)
class Versions:
    """The versions of one model; one whose artefact is gone takes and gives nothing that is known."""

    state: StateStore
    model: str
    read: dict[int, Manifest | None] = field(default_factory=dict[int, "Manifest | None"])

    def kinds(self, version: int) -> Mapping[str, Kind]:
        """Return the kinds of features and request inputs."""
        manifest = self._manifest(version)
        return {**manifest.input_kinds, **manifest.features} if manifest else {}

    def classes(self, version: int) -> tuple[str, ...]:
        """Return the classes of a multiclass version, in the order of its probabilities."""
        manifest = self._manifest(version)
        return manifest.classes if manifest else ()

    def _manifest(self, version: int) -> Manifest | None:
        if version not in self.read:
            card = read_card(self.state, self.model, version)
            try:
                self.read[version] = read_manifest(card.artifact_uri) if card else None
            except (MlopsError, FileNotFoundError):
                self.read[version] = None
        return self.read[version]
