"""Take a version with its lineage to another environment: first every file, verified, and the registration last."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.features import training_set
from mlops_assets.lake.files import exists, list_files, read_bytes, write_bytes
from mlops_assets.lake.state import open_state
from mlops_assets.lake.uris import join
from mlops_assets.registry.integrity import verify_files
from mlops_assets.registry.lifecycle import VersionCard, add_card, cards, require_deployable
from mlops_assets.registry.lineage import TRAINING_SET_URI
from mlops_assets.registry.register import first_decision
from mlops_assets.registry.registry import CANDIDATE_TAG

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.register import Approval
    from mlops_assets.registry.registry import Registry
    from mlops_assets.training.tracked_run import TrackedRun
    from mlops_assets.training.tracking import Tracking

COPIED_FROM = "mlops/copied_from"


class CopyDiffers(MlopsError):
    """A file is not the same after it was copied."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(
            f"copy of {source}",
            found=f"other bytes at {target}",
            required="the same sha256",
            remedy="Nothing was registered. Look at the disk or the bucket, then copy again.",
        )


@dataclass(frozen=True)
class Place:
    """One environment: its lake, its runs and its registry."""

    env: str
    lake: str
    tracking: Tracking
    registry: Registry

    @property
    def state(self) -> StateStore:
        return open_state(self.lake)


def copy_version(card: VersionCard, source: Place, target: Place, *, approval: Approval, now: datetime) -> VersionCard:
    """Copy an approved version and return its card in the target; no traffic moves. A second time it changes nothing.

    Its candidate id stays; its number is the target's next. A copy that is killed leaves files and a run behind, but no
    version.

    Raises:
        NotDeployable: The version waits for approval in the source, or was rejected there.
        CorruptArtifact: Its saved model is not whole.
        CorruptTrainingSet: Its training set is gone, or is not what its name says.
        CopyDiffers: A file changed on its way.
    """
    require_deployable(card)
    known = next((one for one in cards(target.state, card.name) if one.candidate_id == card.candidate_id), None)
    if known is not None:
        return known
    verify_files(card.artifact_uri, card.sha256)
    lineage = {**card.lineage, COPIED_FROM: f"{source.env}.{card.name}@{card.version}"}
    if TRAINING_SET_URI in lineage:
        lineage[TRAINING_SET_URI] = _copy_training_set(lineage[TRAINING_SET_URI], target.lake, card.name)
    root, _, artefact = card.artifact_uri.rpartition("/")
    with target.tracking.run(card.name, tags={**lineage, CANDIDATE_TAG: card.candidate_id}) as run:
        _copy_facts(source.tracking.open_run(card.run_id), run)
        _copy_files(root, run.root)
    version = target.registry.register(
        card.name,
        candidate_id=card.candidate_id,
        run_id=run.run_id,
        artifact_uri=run.artifact_uri(artefact),
        tags=lineage,
    )
    verify_files(version.artifact_uri, card.sha256)
    copied = VersionCard(
        name=card.name,
        version=version.version,
        candidate_id=card.candidate_id,
        run_id=version.run_id,
        artifact_uri=version.artifact_uri,
        sha256=card.sha256,
        registered_at=now,
        decisions=first_decision(approval, now=now),
        lineage=lineage,
        copied_from=lineage[COPIED_FROM],
    )
    return add_card(target.state, copied)


def _copy_training_set(uri: str, lake: str, model: str) -> str:
    """Copy a training set and return where it is; one that the target has already is the same by its name."""
    target = join(lake, "training_sets", model, uri.rpartition("/")[2])
    if not exists(join(target, training_set.MANIFEST)):
        training_set.load(uri, data="stream")
        _copy_files(uri, target)
    training_set.load(target, data="stream")
    return target


def _copy_facts(source: TrackedRun, target: TrackedRun) -> None:
    """Copy what the run of a candidate says in numbers and words; its files go apart, and curves keep their end."""
    data = source.client.get_run(source.run_id).data
    target.log_params(data.params)
    target.log_metrics(data.metrics)


def _copy_files(source: str, target: str) -> None:
    """Copy a folder and compare every file; manifests go last, since who finds one takes the folder for whole."""
    for uri in sorted(list_files(source), key=lambda uri: uri.endswith(f"/{training_set.MANIFEST}")):
        copy = join(target, uri.removeprefix(join(source, "")))
        data = read_bytes(uri)
        write_bytes(copy, data)
        if sha256(read_bytes(copy)).digest() != sha256(data).digest():
            raise CopyDiffers(uri, copy)
