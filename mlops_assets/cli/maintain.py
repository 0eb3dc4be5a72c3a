"""`mlops maintain`: the upkeep of the lake by hand."""

from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from mlops_assets.settings import load_settings


def maintain_lake(*, dry_run: bool, retention_days: int, small_files: int) -> int:
    """Put small files together, remove files that nobody needs, and list it by table; return the exit code.

    Raises:
        UnreadableManifest: A training set cannot say what it was made from; nothing was removed.
    """
    from mlops_assets.features.live_versions import live_versions
    from mlops_assets.lake.maintenance import Policy, maintain

    lake, retention = load_settings().lake, timedelta(days=retention_days)
    keep = live_versions(lake, since=datetime.now(UTC) - retention)
    title = f"{lake}: {'what would be done' if dry_run else 'what was done'}"
    table = Table("table", "compacted", "files removed", "old versions kept", title=title, title_justify="left")
    skipped = 0
    for done in maintain(lake, keep, Policy(retention, small_files=small_files, dry_run=dry_run)):
        compacted = ", ".join(f"{window or 'whole'} ({files} files)" for window, files in done.compacted.items())
        skipped += done.skipped is not None
        table.add_row(done.table, done.skipped or compacted, f"{len(done.removed):,}", str(len(done.kept)))
    Console().print(table if table.row_count else f"{lake}: no table.")
    return 1 if skipped else 0
