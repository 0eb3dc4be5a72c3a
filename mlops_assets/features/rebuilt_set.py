"""A training set made again from the versions of tables that its manifest names: it must come out the same, or it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.contract.published import resolve
from mlops_assets.errors import MlopsError
from mlops_assets.features.compute import view_uri
from mlops_assets.features.training_set import build_training_set
from mlops_assets.lake import tables
from mlops_assets.lake.files import exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlops_assets.features.definition import VectorDefinition
    from mlops_assets.features.training_set import Manifest, TrainingSet
    from mlops_assets.lake.tables import Snapshot


class InputsGone(MlopsError):
    """Versions of tables that a training set was made from cannot be read any more."""

    def __init__(self, sha256: str, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            f"training set {sha256[:16]}, made again",
            found=f"gone: {'; '.join(missing)}",
            required="every version of a table that it was made from",
            remedy="It cannot be made again. Restore these files or the training set from a backup.",
        )


class DefinitionsChanged(MlopsError):
    """The files define other rows than those that a training set was made of."""

    def __init__(self, sha256: str, changed: Sequence[str]) -> None:
        self.changed = tuple(changed)
        super().__init__(
            f"training set {sha256[:16]}, made again",
            found=f"another definition of {', '.join(changed)} than then",
            required="the queries and the request function that it was made with",
            remedy="Work on the recorded commit: `mlops rebuild ... --checkout`.",
        )


class OtherRows(MlopsError):
    """The same versions of tables gave other rows."""

    def __init__(self, sha256: str, *, found: str, libraries: str) -> None:
        super().__init__(
            f"training set {sha256[:16]}, made again",
            found=f"rows with sha256 {found}",
            required=f"sha256 {sha256}",
            remedy=f"Use the libraries that it was made with ({libraries}).",
        )


def rebuild_training_set(definition: VectorDefinition, recorded: Manifest, *, lake: str) -> TrainingSet:
    """Build a training set from exactly what its manifest names.

    Raises:
        DefinitionsChanged: A query or the request function is another one by now.
        InputsGone: A version of a table is not there any more.
        OtherRows: The rows are not those whose hash the manifest tells.
    """
    if changed := changed_definitions(definition, recorded):
        raise DefinitionsChanged(recorded.sha256, changed)
    if missing := list(_missing(recorded, lake)):
        raise InputsGone(recorded.sha256, missing)
    built = build_training_set(
        definition,
        lake=lake,
        as_of=recorded.as_of,
        held=recorded.held_windows,
        window_days=recorded.window_days,
        pinned=recorded,
    )
    if built.manifest.sha256 != recorded.sha256:
        libraries = ", ".join(f"{name} {version}" for name, version in recorded.libraries.items())
        raise OtherRows(recorded.sha256, found=built.manifest.sha256, libraries=libraries)
    return built


def changed_definitions(definition: VectorDefinition, recorded: Manifest) -> list[str]:
    """Return what is defined otherwise than when a training set was made: the spine, views, the request function."""
    now = {"the spine": definition.spine_definition, "the request function": definition.request.sha256}
    then = {"the spine": recorded.spine_definition, "the request function": recorded.request_sha256}
    now |= {f"features/{view.spec.name}": view.definition for view in definition.views}
    then |= {f"features/{name}": view.definition for name, view in recorded.views.items()}
    return [name for name in {**then, **now} if now.get(name) != then.get(name)]


def _missing(recorded: Manifest, lake: str) -> Iterator[str]:
    for reference, version in recorded.sources.items():
        yield from _unreadable(f"raw/{reference}", version, lambda r=reference, v=version: resolve(lake, r, v))
    for name, read in recorded.views.items():
        uri = view_uri(lake, name)
        yield from _unreadable(f"features/{name}", read.version, lambda u=uri, v=read.version: tables.snapshot(u, v))


def _unreadable(table: str, version: int, find: Callable[[], Snapshot]) -> Iterator[str]:
    try:
        files = find().files
    except MlopsError as error:
        yield f"{table} version {version} ({error.found})"
        return
    if gone := [file for file in files if not exists(file)]:
        yield f"{table} version {version} ({len(gone)} of {len(files)} files, such as {gone[0].rpartition('/')[2]})"
