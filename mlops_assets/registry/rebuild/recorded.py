"""What a registered version says about itself: its manifest, its candidate's, and the manifest of its training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.errors import MlopsError
from mlops_assets.features.training_set import COPY, MANIFEST, decode_manifest
from mlops_assets.lake.files import read_bytes
from mlops_assets.lake.uris import join
from mlops_assets.predictor import manifest as saved
from mlops_assets.predictor.errors import CorruptArtifact
from mlops_assets.training.candidate import CANDIDATE
from mlops_assets.training.split import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_assets.features.training_set import Manifest as SetManifest
    from mlops_assets.predictor.manifest import Manifest
    from mlops_assets.registry.lifecycle import VersionCard

NEEDED = ("asked", "recipe", *BOUNDS)


class NotRebuildable(MlopsError):
    """A version does not say enough about itself."""

    def __init__(self, version: VersionCard, *, found: str, required: str, remedy: str) -> None:
        what = f"{version.name}@{version.version} cannot be made again"
        super().__init__(what, found=found, required=required, remedy=remedy)


@dataclass(frozen=True)
class Recorded:
    """A version and what was recorded of it.

    Attributes:
        artefact: Name of the registered artefact in its run: `candidate` or `refit`.
        manifest: Of that artefact.
        candidate: Of the candidate that was judged.
    """

    version: VersionCard
    artefact: str
    manifest: Manifest
    candidate: Manifest

    @property
    def facts(self) -> dict[str, Any]:
        return self.candidate.facts

    @property
    def training_set(self) -> str:
        return str(self.facts["training_set"])

    def set_manifest(self, places: list[str]) -> SetManifest | None:
        """Return the manifest of the training set, from beside it or from its copy in the run; None if both are gone."""
        run = self.version.artifact_uri.rpartition("/")[0]
        for uri in (*(join(place, MANIFEST) for place in places), join(run, COPY)):
            try:
                return decode_manifest(read_bytes(uri))
            except (FileNotFoundError, msgspec.DecodeError):
                continue
        return None


def read_recorded(version: VersionCard) -> Recorded:
    """Read what a version says about itself.

    Raises:
        CorruptArtifact: The saved model, or that of its candidate, is not there, or no manifest of this project.
        NotRebuildable: It was saved by a release that did not record what a fit needs.
    """
    run, _, artefact = version.artifact_uri.rpartition("/")
    recorded = Recorded(version, artefact, _manifest(version.artifact_uri), _manifest(join(run, CANDIDATE)))
    if lacking := list(_lacking(recorded)):
        raise NotRebuildable(
            version,
            found=f"no record of {', '.join(lacking)}",
            required="the training set, the recipe that was asked for and the bounds of its split",
            remedy="An older release saved it, or somebody else. Train a new version: it records them.",
        )
    return recorded


def _lacking(recorded: Recorded) -> Iterator[str]:
    yield from (name for name in ("training_set", *NEEDED) if name not in recorded.facts)


def _manifest(uri: str) -> Manifest:
    try:
        return saved.decode(read_bytes(join(uri, saved.MANIFEST)))
    except FileNotFoundError as error:
        raise CorruptArtifact(uri, saved.MANIFEST, found="no such file", required="the file that was saved") from error
    except msgspec.DecodeError as error:
        raise CorruptArtifact(uri, saved.MANIFEST, found=str(error), required="a manifest of this project") from error
