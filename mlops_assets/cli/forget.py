"""`mlops forget-online`: a person asks to be forgotten."""

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from mlops_assets.cli.places import defs_folder
from mlops_assets.settings import load_settings


def forget_online(view: str, entity: Sequence[str], defs: Path | None) -> None:
    """Remove an entity from the online rows of a view, for ever.

    Args:
        entity: `column=value` for each entity column of the view.

    Raises:
        UnknownDefinition: No file defines the view.
        WrongEntity: A column is missing or unknown, or a value has another type.
    """
    from mlops_assets.clock import open_clock
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.features.definition import View
    from mlops_assets.features.online.forgotten import forget
    from mlops_assets.features.online.places import open_store
    from mlops_assets.features.spec import read_sql

    settings, entry = load_settings(), read_catalog(defs_folder(defs)).view(view)
    forget(
        View(entry.spec, read_sql(entry.spec.sql, base=entry.folder)),
        dict(_pair(one) for one in entity),
        lake=settings.lake,
        store=open_store(settings.online, env=settings.env),
        now=open_clock(settings.home).now(),
    )
    Console().print(
        f"{view}: forgotten online, and no materialisation brings it back. The tables `features/{view}` and `raw/` still "
        "hold what the source said: take it out there too.",
        soft_wrap=True,
    )


def _pair(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"found {text!r}; required column=value", param_hint="ENTITY")
    return column, value
