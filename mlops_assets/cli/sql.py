"""`mlops sql`: a model's features as they were known, as one query for a warehouse."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mlops_assets.cli.places import defs_folder

if TYPE_CHECKING:
    from mlops_assets.features.dialects import Dialect


def print_sql(model: str, dialect: "Dialect", *, spine: str | None, defs: Path | None) -> None:
    """Print the point-in-time query of a model in a warehouse's dialect.

    Raises:
        UnknownDefinition: No file defines the model.
        NotPortable: The SQL of its spine cannot be said in the dialect.
    """
    from mlops_assets.assets.model import resolve_model
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.features.warehouse import warehouse_query

    definition = resolve_model(read_catalog(defs_folder(defs)), model).definition()
    query = warehouse_query(definition, dialect, spine_table=spine)
    raw = [spine] if spine else [reference.replace("/", ".") for reference in definition.spine.sources.values()]
    tables = [*raw, *(f"features.{view.spec.name}" for view in definition.views)]
    typer.echo(
        f"-- {model}: one row per prediction, with its features as they were known at prediction_time ({dialect})."
    )
    typer.echo(f"-- Reads the lake's tables under the names {', '.join(dict.fromkeys(tables))}.")
    typer.echo("-- Run it in a session whose time zone is UTC.")
    typer.echo(f"{query};")
