"""Which versions of tables somebody may still ask for: lineage is worth nothing if it cannot be read again.

Add here: any place that stores the version of a table. Maintenance removes what is not named here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from mlops_assets.contract.names import table_of
from mlops_assets.contract.pointers import pointer_numbers, read_pointer
from mlops_assets.errors import MlopsError
from mlops_assets.features.compute import SOURCES
from mlops_assets.features.training_set import MANIFEST
from mlops_assets.lake.delta import history
from mlops_assets.lake.files import list_files, list_folders, read_bytes
from mlops_assets.lake.tables import commit_properties, exists
from mlops_assets.lake.uris import is_local, join, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

Reference = tuple[str, int]  # place of a table below the root of the lake, and its version


class UnreadableManifest(MlopsError):
    """Nobody can say what a training set was made from."""

    def __init__(self, uri: str, detail: str) -> None:
        super().__init__(
            uri,
            found=f"no manifest that can be read ({detail})",
            required="`sources` and `views` with their versions",
            remedy="Nothing was removed. Restore the file, or delete the folder of this training set, then retry.",
        )


def live_versions(lake: str, *, since: datetime) -> dict[str, set[int]]:
    """Return the versions that training sets and views refer to, by place of the table below the root of the lake.

    Args:
        since: Views count with every version that was the newest at or after this time: a training set that is
            being built from one has no manifest yet.

    Raises:
        UnreadableManifest: A training set cannot say what it was made from.
    """
    live: defaultdict[str, set[int]] = defaultdict(set)
    for table, version in (*_of_training_sets(lake), *_of_views(lake, since)):
        live[table].add(version)
    for table, version in _behind_pointers(lake, live):
        live[table].add(version)
    return dict(live)


def _of_training_sets(lake: str) -> Iterator[Reference]:
    for uri in list_files(join(lake, "training_sets")):
        if not uri.endswith("/" + MANIFEST):
            continue
        try:
            yield from list(_of_manifest(json.loads(read_bytes(uri))))
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise UnreadableManifest(uri, repr(error)) from error


def _of_manifest(manifest: dict[str, Any]) -> Iterator[Reference]:
    yield from _raw(manifest["sources"])
    for view, read in manifest["views"].items():
        yield f"features/{view}", int(read["version"])
        yield from _raw(read["sources"])


def _of_views(lake: str, since: datetime) -> Iterator[Reference]:
    """Yield the versions of views that were the newest at some time since, and the raw versions behind them."""
    for uri in list_folders(join(lake, "features")):
        if not exists(uri):
            continue
        view = uri.rpartition("/")[2]
        for version in _newest_since(uri, since):
            yield f"features/{view}", version
            yield from _raw(json.loads(commit_properties(uri, version).get(SOURCES, "{}")))


def _newest_since(uri: str, since: datetime) -> Iterator[int]:
    for version, committed_at in history(uri):
        yield version
        if committed_at <= since:
            return


def _raw(sources: dict[str, int]) -> Iterator[Reference]:
    for reference, version in sources.items():
        yield f"raw/{table_of(reference)}", int(version)


def _behind_pointers(lake: str, live: Mapping[str, set[int]]) -> list[Reference]:
    """Return the versions of tables in the lake that other raw tables point at, by their newest pointer or a live one."""
    found: list[Reference] = []
    for source in list_folders(join(lake, "raw")):
        for folder in list_folders(source):
            reference = folder.removeprefix(join(lake, "raw", ""))
            numbers = pointer_numbers(lake, reference)
            for number in {*numbers[-1:], *(live.get(f"raw/{reference}", set()) & set(numbers))}:
                pointer = read_pointer(lake, reference, number)
                if pointer.delta_version is not None and (place := _below(lake, pointer.uri)):
                    found.append((place, pointer.delta_version))
    return found


def _below(lake: str, uri: str) -> str | None:
    """Return a place by its path below the root of the lake; None if it is elsewhere."""
    root, target = (str(local_path(one)) if is_local(one) else one for one in (lake, uri))
    start = join(root, "")
    return target.removeprefix(start).rstrip("/") if target.startswith(start) else None
