"""`mlops retention`: remove by age what no version needs."""

from datetime import timedelta

from rich.console import Console
from rich.table import Table

from mlops_assets.settings import load_settings


def retain_and_list(*, dry_run: bool, keep_days: int, keep_last: int) -> int:
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
    console = Console()
    if not table.row_count:
        console.print("Nothing is both old enough and without use.")
        return 0
    console.print(table)
    console.print(f"{total:,} bytes in all.")
    return 0
