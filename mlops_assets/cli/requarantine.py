"""`mlops requarantine`: judge the rows in quarantine again, and show what became of them."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from mlops_assets.cli.places import defs_folder
from mlops_assets.errors import MlopsError
from mlops_assets.settings import load_settings


class UnknownTable(MlopsError):
    """A source has no such table."""

    def __init__(self, source: str, table: str, known: list[str]) -> None:
        super().__init__(
            f"Table {table!r} of {source}",
            found=f"the tables {', '.join(known)}",
            required="one of them",
            remedy=f"Correct the name: `mlops requarantine {source} {known[0]}`.",
        )


def release_rows(source: str, table: str, window: str | None, defs: Path | None) -> None:
    """Release the rows of one table that keep its contract by now.

    Raises:
        UnknownDefinition: There is no such source.
        UnknownTable: The source has no such table.
    """
    from mlops_assets.clock import open_clock
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.ingestion.requarantine import requarantine

    settings = load_settings()
    spec = read_catalog(defs_folder(defs)).ingestion(source).spec
    if table not in spec.tables:
        raise UnknownTable(source, table, list(spec.tables))
    done = requarantine(spec, table, window=window, lake=settings.lake, now=open_clock(settings.home).now())
    shown = Table(
        "window", "released", "added", "kept", "broken rules", title=f"raw/{source}/{table}", title_justify="left"
    )
    for one in done:
        broken = ", ".join(f"{rule} {count}" for rule, count in one.broken.items())
        shown.add_row(one.window or "whole table", str(one.released), str(one.added), str(one.kept), broken)
    Console().print(shown if done else f"raw/{source}/{table}: no row is in quarantine.")
