"""`mlops forget`: a person asks to be forgotten, everywhere."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from mlops_assets.cli.decisions import open_desk
from mlops_assets.cli.places import defs_folder
from mlops_assets.lake.maintenance import SWEEP_HOURS
from mlops_assets.settings import load_settings

if TYPE_CHECKING:
    from mlops_assets.components.catalog import Catalog
    from mlops_assets.registry.forgetting.traces import Trace

GONE = (
    "Nothing is left in the lake: the files that held them are removed now, those of old versions too. Backups, and what a "
    "bucket with versioning keeps, are not reached."
)
WAITS = (
    "What is left is in files that no version names; they may belong to a write that goes on. Run this again after "
    f"{SWEEP_HOURS} hours: then they are removed."
)
AGAIN = (
    "What the source still has comes back with the next load: let it forget first, then run this again. Models keep what they "
    "learned; the versions named above can no longer be made again."
)


def forget_entity(entity: Sequence[str], *, dry_run: bool, reason: str, defs: Path | None) -> int:
    """List what the lake holds of somebody, and take it out unless it is a dry run; return the exit code.

    Raises:
        NoSuchColumns: No table has the columns.
    """
    from mlops_assets.clock import SystemClock
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.predictions.log.forgetting import LogOnDisk
    from mlops_assets.predictions.log.segments import log_folder
    from mlops_assets.registry.forgetting.forget import NoSuchColumns, Request, forget
    from mlops_assets.registry.forgetting.traces import find_traces
    from mlops_assets.registry.registry import MlflowRegistry
    from mlops_assets.serving.body import read_rows

    who = dict(_pair(one) for one in entity)
    settings, catalog, console = load_settings(), read_catalog(defs_folder(defs)), Console()
    known = sorted({name for view in catalog.views.values() for name in view.spec.entity})
    log = LogOnDisk(log_folder(settings.home, settings.env), settings.lake, read_rows)
    if dry_run:
        found = [*find_traces(settings.lake, who), *log.find(who)]
        if not found:
            raise NoSuchColumns(who, known)
        console.print(_table("what would be taken out, with its past", found))
        return 0
    _forget_online(catalog, who, defs)
    done = forget(
        Request(who, open_desk(None).who, reason, SystemClock().now()),  # a real time, also in a replay
        lake=settings.lake,
        registry=MlflowRegistry(settings.mlflow_uri, settings.env),
        refresh=lambda view: _refresh(catalog, view),
        known=known,
        elsewhere=[log],
    )
    console.print(_table("what was there", done.found))
    for version in done.versions:
        console.print(f"{version}: can no longer be made again.", highlight=False)
    if done.left:
        console.print(_table("what is left", done.left))
    else:
        console.print(GONE, soft_wrap=True)
    if any(trace.files and not trace.rows for trace in done.left):
        console.print(WAITS, soft_wrap=True)
    console.print(AGAIN, soft_wrap=True)
    return 1 if any(trace.is_theirs for trace in done.left) else 0


def _pair(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"found {text!r}; required column=value", param_hint="ENTITY")
    return column, value


def _table(title: str, traces: "Sequence[Trace]") -> Table:
    table = Table("place", "what", "rows now", "files, past included", "note", title=title, title_justify="left")
    for one in traces:
        table.add_row(one.place, one.kind, f"{one.rows:,}", f"{one.files:,}", one.note)
    return table


def _refresh(catalog: "Catalog", view: str) -> None:
    """Compute a view anew from what is left; one that no file defines stays as it is, without the rows."""
    from mlops_assets.features.refresh import refresh_view
    from mlops_assets.features.spec import read_sql

    if entry := catalog.views.get(view):
        refresh_view(entry.spec, read_sql(entry.spec.sql, base=entry.folder), lake=load_settings().lake, full=True)


def _forget_online(catalog: "Catalog", who: dict[str, str], defs: Path | None) -> None:
    """Forget them in the online store, for ever, where these columns are the whole entity of a view.

    It goes first: no materialisation brings them back from then on.
    """
    from mlops_assets.cli.forget import forget_online
    from mlops_assets.lake.delta import TableNotFound

    for name, entry in catalog.views.items():
        if entry.spec.online and set(entry.spec.entity) == set(who):
            with suppress(TableNotFound):  # it was never computed, so it was never online
                forget_online(name, [f"{column}={value}" for column, value in who.items()], defs)
