"""`mlops retention`: remove by age what no version needs."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlops_assets.cli.places import defs_folder
from mlops_assets.settings import Settings, load_settings


def retain_and_list(*, dry_run: bool, keep_days: int, keep_last: int, defs: Path | None = None) -> int:
    """Remove what nobody needs, or only list it, with sizes; return the exit code."""
    from mlops_assets.clock import SystemClock
    from mlops_assets.lake.state import open_state
    from mlops_assets.registry.retention import Policy, drop, expired
    from mlops_assets.training.tracking import open_tracking

    settings = load_settings()
    tracking, now = open_tracking(settings), SystemClock().now()  # files and runs are dated by the wall clock
    policy = Policy(timedelta(days=keep_days), keep_last)
    table = Table("model", "what", "name", "bytes", "last wanted", "", title_justify="left")
    table.title = "what would be removed" if dry_run else "what was removed"
    total = 0
    for found in list(expired(settings.lake, open_state(settings.lake), tracking, policy, now=now)):
        size = found.bytes
        done = "" if dry_run or drop(found, tracking) else "left: somebody asked for it"
        total += 0 if done else size
        table.add_row(found.model, found.kind, found.name, f"{size:,}", f"{found.changed_at:%Y-%m-%d %H:%M}", done)
    for model, name in _logs(settings, defs, dry_run=dry_run):
        table.add_row(model, "log", name, "", "", "")
    console = Console()
    if not table.row_count:
        console.print("Nothing is both old enough and without use.")
        return 0
    console.print(table)
    console.print(f"{total:,} bytes in all.")
    return 0


def _logs(settings: Settings, defs: Path | None, *, dry_run: bool) -> Iterator[tuple[str, str]]:
    """Yield models whose log has, or had, more than the `retention_days` of their files, and what of it."""
    from mlops_assets.clock import open_clock
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.predictions.log.expiry import drop_past, past
    from mlops_assets.predictions.log.segments import log_folder
    from mlops_assets.predictions.log.table import day_of

    now, capture = open_clock(settings.home).now(), log_folder(settings.home, settings.env)
    for model, entry in read_catalog(defs_folder(defs)).models.items():
        days = entry.spec.prediction_log.retention_days
        if days is None:
            continue
        first_day = day_of(now - timedelta(days=days))
        found = (past if dry_run else drop_past)(capture, settings.lake, model, first_day)
        if found.rows or found.segments:
            yield model, f"{found.rows:,} rows and {found.segments} segments before {first_day}"
