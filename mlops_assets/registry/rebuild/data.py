"""The rows that a version was trained on: as they were kept, or made again from the tables that they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.features.rebuilt_set import rebuild_training_set
from mlops_assets.features.training_set import DATA, MANIFEST, CorruptTrainingSet, load, save
from mlops_assets.lake.files import exists
from mlops_assets.lake.uris import join
from mlops_assets.registry.lifecycle import NOT_REBUILDABLE
from mlops_assets.registry.rebuild.recorded import NotRebuildable

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.registry.rebuild.recorded import Recorded


@dataclass(frozen=True)
class Rows:
    """A training set.

    Attributes:
        table: None if what is kept is not the set that was recorded.
        sha256: Identity of what was found.
        origin: How it came about, for a person.
    """

    table: pa.Table | None
    sha256: str
    origin: str


def training_rows(recorded: Recorded, definition: VectorDefinition | None, *, lake: str, scratch: Path) -> Rows:
    """Fetch the training set; if it is gone, make it again.

    A set that is there and was changed is not made again behind anybody's back: it is a difference.

    Args:
        definition: What the model's file says; None: no file defines the model any more.
        scratch: For a set that is made again and streamed, as it was then.

    Raises:
        NotRebuildable: The set is gone, and nothing says what it was made from, or nobody defines the model.
        MlopsError: See `rebuild_training_set`.
    """
    places = _places(recorded, lake)
    for place in places:
        if exists(join(place, DATA)) and exists(join(place, MANIFEST)):
            return _kept(recorded, place)
    if reason := recorded.version.marks.get(NOT_REBUILDABLE):
        raise NotRebuildable(
            recorded.version,
            found=reason,
            required="its training set",
            remedy="Nothing brings it back. The version may serve on; train a new one to have one that can be made again.",
        )
    manifest = recorded.set_manifest(places)
    if manifest is None or definition is None:
        found = "neither it nor its manifest" if manifest is None else "no file that defines the model"
        raise NotRebuildable(
            recorded.version,
            found=f"{found} (training set {recorded.training_set[:16]}, sought at {places[0]})",
            required="the training set, or its manifest and the definition of the model",
            remedy="Restore the training set from a backup, or work on the recorded commit: `--checkout`.",
        )
    built = rebuild_training_set(definition, manifest, lake=lake)
    versions = ", ".join(f"raw/{name}@{version}" for name, version in manifest.sources.items())
    views = ", ".join(f"features/{name}@{read.version}" for name, read in manifest.views.items())
    table = built.table
    if (data := _data(recorded)) == "stream":
        table = load(save(built, str(scratch), recorded.version.name).uri, data=data).table
    return Rows(table, built.manifest.sha256, f"made again from {', '.join(filter(None, (versions, views)))}")


def _places(recorded: Recorded, lake: str) -> list[str]:
    """Return where the set may be: where it was saved, or, in a lake that has moved since, where it would be."""
    here = join(lake, "training_sets", recorded.version.name, recorded.training_set[:16])
    return list(dict.fromkeys([str(recorded.facts.get("training_set_uri", here)), here]))


def _kept(recorded: Recorded, place: str) -> Rows:
    try:
        found = load(place, data=_data(recorded))
    except CorruptTrainingSet as error:
        return Rows(None, f"none: {error.found}", f"{place} was changed")
    sha256 = found.manifest.sha256
    return Rows(found.table if sha256 == recorded.training_set else None, sha256, f"kept at {place}")


def _data(recorded: Recorded) -> Literal["memory", "stream"]:
    return "stream" if recorded.facts.get("data") == "stream" else "memory"
