"""`mlops maintain`: the upkeep of the lake by hand."""

from rich.console import Console
from rich.table import Table

from mlops_assets.settings import load_settings


def maintain_and_list(*, dry_run: bool, retention_days: int, small_files: int) -> int:
    """Put small files together, remove files that nobody needs, and list it by table; return the exit code.

    Raises:
        UnreadableManifest: A training set cannot say what it was made from; nothing was done.
    """
    from mlops_assets.assets.maintenance import MaintenanceConfig, maintain_lake

    lake = load_settings().lake
    config = MaintenanceConfig(dry_run=dry_run, retention_days=retention_days, small_files=small_files)
    title = f"{lake}: {'what would be done' if dry_run else 'what was done'}"
    table = Table("table", "compacted", "files removed", "old versions kept", title=title, title_justify="left")
    skipped = 0
    for done in maintain_lake(lake, config):
        compacted = ", ".join(f"{window or 'whole'} ({files} files)" for window, files in done.compacted.items())
        skipped += done.skipped is not None
        table.add_row(done.table, done.skipped or compacted, f"{len(done.removed):,}", str(len(done.kept)))
    Console().print(table if table.row_count else f"{lake}: no table.")
    return 1 if skipped else 0
