"""`mlops explain`: what a definition file produces in Dagster."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mlops_assets.cli.places import defs_folder

if TYPE_CHECKING:
    import dagster as dg


def explain_definition(name: str, defs: Path | None) -> None:
    """Print the assets, checks, jobs, schedules and sensors of one definition.

    Raises:
        UnknownDefinition: No file defines the name.
    """
    from mlops_assets.components.catalog import UnknownDefinition, read_catalog
    from mlops_assets.definitions import build_definitions

    root = defs_folder(defs)
    entries = {entry.spec.name: entry for entry in read_catalog(root).entries()}
    if name not in entries:
        raise UnknownDefinition("Definition", name, sorted(entries))
    table = Table(title=f"{name}: {entries[name].file}", title_justify="left")
    for column in ("kind", "name", "what it is"):
        table.add_column(column, overflow="fold")
    for row in _rows(name, build_definitions(root)):
        table.add_row(*row)
    Console().print(table)


def _rows(name: str, definitions: "dg.Definitions") -> Iterator[tuple[str, str, str]]:
    graph = definitions.resolve_asset_graph()
    own = {key for key in graph.get_all_asset_keys() if name in key.path}
    for key in sorted(own):
        yield "asset", key.to_user_string(), (graph.get(key).description or "").split("\n")[0]
    for check in sorted(check for check in graph.asset_check_keys if check.asset_key in own):
        yield "check", f"{check.asset_key.to_user_string()}:{check.name}", ""
    for job in definitions.jobs or []:
        if job.name.startswith(f"{name}_"):
            yield "job", job.name, job.description or ""
    for schedule in definitions.get_repository_def().schedule_defs:
        if schedule.name.startswith(f"{name}_"):
            yield "schedule", schedule.name, str(schedule.cron_schedule)
    for sensor in definitions.sensors or []:
        yield "sensor", sensor.name, sensor.description or ""
