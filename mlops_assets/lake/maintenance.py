"""Upkeep of Delta tables: small files become one, and files that no version needs any more are removed.

Keep out: who refers to which version; it is handed over (`keep`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mlops_assets.lake.commit import Write, WriteContention, commit
from mlops_assets.lake.delta import UnhandledFeature, open_table, place
from mlops_assets.lake.files import list_files, list_folders
from mlops_assets.lake.tables import (
    PARTITIONED,
    WINDOW_COLUMN,
    commit_properties,
    in_window,
    predicate_of,
    read,
    snapshot,
)
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from deltalake import DeltaTable

LOG = "_delta_log"
SMALL_BYTES = 32 * 2**20
WHOLE_TABLE = ""  # the one partition of a table that is not published by window
SWEEP_HOURS = 24  # a file younger than this may belong to a write that has not committed yet


@dataclass(frozen=True)
class Policy:
    """How much upkeep.

    Attributes:
        retention: How long files stay that only unreferenced old versions need; whoever opened such a version reads on.
        small_files: A partition is rewritten when it has more small files than this.
        dry_run: Only say what would be done.
    """

    retention: timedelta
    small_files: int = 8
    dry_run: bool = False


@dataclass(frozen=True)
class Upkeep:
    """What was done to one table, or would be.

    Attributes:
        table: Its place below the root of the lake.
        compacted: How many files each rewritten window had; the empty key stands for a table without windows.
        removed: Files that no kept version needs, below the table.
        kept: Old versions that stay readable because something refers to them.
        skipped: Why the table was left alone, if it was.
    """

    table: str
    compacted: dict[str, int] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    kept: tuple[int, ...] = ()
    skipped: str | None = None


def find_tables(root: str) -> Iterator[str]:
    """Yield the places below `root` of all Delta tables, in order."""
    for folder in list_folders(root):
        name = folder.rpartition("/")[2]
        if join(folder, LOG) in list_folders(folder):
            yield name
        elif not name.startswith("_"):
            yield from (f"{name}/{table}" for table in find_tables(folder))


def maintain(root: str, keep: Mapping[str, set[int]], policy: Policy) -> Iterator[Upkeep]:
    """Compact and vacuum every table below `root`, one after the other.

    Each compacted window is one commit that holds the same rows in the same order, with the facts of the commit before.

    Args:
        keep: Versions that must stay readable, by place below `root`; the newest always does.
    """
    for table in find_tables(root):
        kept = tuple(sorted(keep.get(table, ())))
        try:
            yield _maintain(join(root, table), Upkeep(table, kept=kept), policy)
        except (UnhandledFeature, WriteContention) as error:
            yield Upkeep(table, kept=kept, skipped=str(error))


def _maintain(uri: str, upkeep: Upkeep, policy: Policy) -> Upkeep:
    crowded = _crowded(uri, policy.small_files)
    if not policy.dry_run:
        for window in crowded:
            _compact(uri, window, policy.small_files)
    return replace(upkeep, compacted=crowded, removed=_vacuum(uri, upkeep.kept, policy))


def _crowded(uri: str, small_files: int, version: int | None = None) -> dict[str, int]:
    """Return the number of files of each partition that has too many small ones."""
    snapshot(uri, version)  # refuses a table that cannot be read whole
    files, small = Counter[str](), Counter[str]()
    for action in _files(open_table(uri, version)):
        window = action.get(f"partition.{WINDOW_COLUMN}") or WHOLE_TABLE
        files[window] += 1
        small[window] += action["size_bytes"] < SMALL_BYTES
    return {window: files[window] for window in sorted(files) if small[window] > small_files}


def _files(table: DeltaTable) -> list[dict[str, Any]]:
    import pyarrow as pa

    return pa.table(table.get_add_actions(flatten=True)).to_pylist()


def _compact(uri: str, window: str, small_files: int) -> None:
    """Write the rows of one partition again, in the order in which they are read; a concurrent change is compacted next.

    Delta's own OPTIMIZE is not used: an overwrite that runs beside it does not notice it, and every row is there twice.
    """

    def plan(version: int | None) -> Write | None:
        if version is None or window not in _crowded(uri, small_files, version):
            return None
        facts = commit_properties(uri, version)
        if window == WHOLE_TABLE:
            return Write(read(uri, version=version), properties=facts)
        rows = in_window(read(uri, version=version, window=window), window)
        return Write(rows, predicate=predicate_of([window]), partition_by=PARTITIONED, properties=facts)

    commit(uri, plan)


def _vacuum(uri: str, kept: tuple[int, ...], policy: Policy) -> tuple[str, ...]:
    """Remove files, if there are any to remove: a vacuum is a commit, and a version without news is noise."""
    table = open_table(uri)
    hours = int(policy.retention.total_seconds() // 3600)
    wanted: dict[str, Any] = {
        "retention_hours": hours,
        "enforce_retention_duration": False,
        "full": hours >= SWEEP_HOURS,  # also what killed writers left behind
        "keep_versions": [version for version in kept if version <= table.version()],
    }
    unneeded = _still_there(uri, table.vacuum(dry_run=True, **wanted))
    if unneeded and not policy.dry_run:
        table.vacuum(dry_run=False, **wanted)
    return unneeded


def _still_there(uri: str, files: list[str]) -> tuple[str, ...]:
    """Return which files exist, by their path below the table; Delta also lists what it removed before."""
    folder = place(uri).rstrip("/") + "/"
    named = {unquote(file.removeprefix(folder)) for file in files} | {file.removeprefix(folder) for file in files}
    return tuple(path for path in (found.removeprefix(folder) for found in list_files(uri)) if path in named)
