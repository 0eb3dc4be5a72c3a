"""The stored outcome of one window of one table, which every consumer of that window reads again.

A blocking check stops only its own run; the verdict stops everybody else.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.lake.files import list_files, read_bytes, write_bytes
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.contract.spec import TableSpec
    from mlops_assets.lake.windows import Window

SCHEMA_VERSION = 1
WHOLE_TABLE = "all"
BY_WINDOW, BY_LOAD = "verdicts", "verdicts_by_load"


class WindowNotPublished(MlopsError):
    """A window was asked for that was never published, or that its contract blocked."""

    def __init__(self, source: str, table: str, window: str, *, blocked_by: Sequence[str] | None) -> None:
        found = "no verdict" if blocked_by is None else f"a verdict that blocks it ({', '.join(blocked_by)})"
        what_next = "Materialise" if blocked_by is None else "Mend the source, then materialise"
        super().__init__(
            f"raw/{source}/{table}, window {window}",
            found=found,
            required="a published window",
            remedy=f"{what_next} `raw/{source}/{table}` for this window.",
        )


class NothingPublished(MlopsError):
    """A table was needed of which no complete window is published."""

    def __init__(self, source: str, table: str, windows: int) -> None:
        super().__init__(
            f"raw/{source}/{table}",
            found=f"none of its {windows} complete windows published",
            required="at least one",
            remedy=f"Materialise its partitions, for example with the job `{source}_ingest`.",
        )


def contract_hash(spec: TableSpec) -> str:
    """Return the sha256 of what a table's contract demands; prose, owners and the declared version do not count."""
    demanded = spec.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"description", "owners", "version"}
    )
    return hashlib.sha256(json.dumps(demanded, sort_keys=True).encode()).hexdigest()


def read_verdict(lake: str, source: str, table: str, window_key: str | None) -> dict[str, Any] | None:
    """Return the newest verdict of a window (None: of the whole table), or None if there is none."""
    try:
        return json.loads(read_bytes(_uri(lake, source, table, window_key)))
    except FileNotFoundError:
        return None


def write_verdict(lake: str, source: str, table: str, window_key: str | None, facts: dict[str, Any]) -> None:
    """Store the verdict of a window in place of the one before; those of a whole table are also kept by load."""
    verdict = {"schema_version": SCHEMA_VERSION, "source": source, "table": table, "window": window_key, **facts}
    content = json.dumps(verdict, default=str).encode()
    if window_key is None and "load_id" in facts:
        write_bytes(join(lake, BY_LOAD, source, table, f"{facts['load_id']}.json"), content)
    write_bytes(_uri(lake, source, table, window_key), content)


def newest_verdicts(
    lake: str, source: str, table: str, *, count: int, by_load: bool
) -> tuple[list[dict[str, Any]], int]:
    """Return the newest verdicts, oldest first, and how many there are in all.

    Args:
        by_load: Those of a whole table, one for each load; otherwise one for each window.
    """
    files = list_files(join(lake, BY_LOAD if by_load else BY_WINDOW, source, table))
    files = [file for file in files if not file.endswith(f"/{WHOLE_TABLE}.json")]
    return [json.loads(read_bytes(file)) for file in files[-count:]], len(files)


def require_published(lake: str, source: str, table: str, window_key: str | None) -> dict[str, Any]:
    """Return the verdict of a window that consumers may use.

    Raises:
        WindowNotPublished: There is no verdict, or it blocks the window.
    """
    verdict = read_verdict(lake, source, table, window_key)
    if verdict is None or verdict["blocked"]:
        blocked_by = None if verdict is None else [f["rule"] for f in verdict["findings"] if _blocks(f)]
        raise WindowNotPublished(source, table, window_key or WHOLE_TABLE, blocked_by=blocked_by)
    return verdict


def last_published(lake: str, source: str, table: str, windows: Sequence[Window]) -> Window:
    """Return the newest of `windows` (oldest first) that consumers may use.

    Raises:
        NothingPublished: None of them may be used.
    """
    for window in reversed(windows):
        verdict = read_verdict(lake, source, table, window.key)
        if verdict is not None and not verdict["blocked"]:
            return window
    raise NothingPublished(source, table, len(windows))


def _blocks(finding: dict[str, Any]) -> bool:
    return finding["severity"] == "block" and not finding["passed"]


def _uri(lake: str, source: str, table: str, window_key: str | None) -> str:
    return join(lake, BY_WINDOW, source, table, f"{window_key or WHOLE_TABLE}.json")
