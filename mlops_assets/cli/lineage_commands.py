"""The commands about where a version came from and what is kept of it: rebuild, retention, forget."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
Defs = Annotated[Path | None, typer.Option("--defs", help="Folder of definition files.", file_okay=False, exists=True)]


@app.command()
def rebuild(
    version: Annotated[str, typer.Argument(help="MODEL (its champion), MODEL@3, MODEL@challenger or MODEL@previous.")],
    checkout: Annotated[
        bool, typer.Option("--checkout", help="Work on the commit that it was trained with, in a folder of its own.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    here: Annotated[bool, typer.Option("--here", hidden=True, help="In this process, as JSON.")] = False,
    defs: Defs = None,
) -> None:
    """Make a version again from its lineage: identical (exit code 0), or the first input that differs (1)."""
    from mlops_assets.cli.rebuild import rebuild_and_print, rebuild_here

    if here:
        rebuild_here(version, defs)
    else:
        raise typer.Exit(rebuild_and_print(version, checkout=checkout, as_json=json, defs=defs))


@app.command()
def forget(
    entity: Annotated[list[str], typer.Argument(help="Whom: COLUMN=VALUE; several must hold together.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be taken out.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "asked to be forgotten",
    defs: Defs = None,
) -> None:
    """Take a person out of every table and its past, of training sets and examples; versions that suffer are marked."""
    from mlops_assets.cli.forget_entity import forget_entity

    raise typer.Exit(forget_entity(entity, dry_run=dry_run, reason=reason, defs=defs))


@app.command()
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    keep_days: Annotated[
        int, typer.Option(min=1, help="Younger than this stays; longer than any retraining takes.")
    ] = 90,
    keep_last: Annotated[int, typer.Option(min=1, help="So many of each model stay, however old.")] = 5,
    defs: Defs = None,
) -> None:
    """Remove old training sets, unregistered candidates and files of rejected versions; what a version needs stays.

    Of prediction logs goes what is older than `prediction_log.retention_days` of the model's file.
    """
    from mlops_assets.cli.retention import retain_and_list

    raise typer.Exit(retain_and_list(dry_run=dry_run, keep_days=keep_days, keep_last=keep_last, defs=defs))
