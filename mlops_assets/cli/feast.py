"""`mlops feast-export`: our feature views for people who read them with Feast."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mlops_assets.cli.places import defs_folder


def export(folder: Path, views: Sequence[str], defs: Path | None, project: str) -> None:
    """Write a Feast repository of some views, all by default.

    Raises:
        UnknownDefinition: A name is not that of a view.
    """
    from mlops_assets.components.catalog import read_catalog
    from mlops_assets.features.feast_export import export_views
    from mlops_assets.settings import load_settings

    catalog = read_catalog(defs_folder(defs))
    specs = [catalog.view(name).spec for name in (views or sorted(catalog.views))]
    export_views(specs, lake=load_settings().lake, folder=folder, project=project)
    Console().print(
        f"Wrote {len(specs)} views to [bold]{folder}[/bold]. Register them: `feast --chdir {folder} apply`."
    )
