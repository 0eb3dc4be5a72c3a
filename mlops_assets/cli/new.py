"""`mlops new`: a commented file to start from."""

from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from mlops_assets.cli.places import defs_folder

KINDS = {"ingestion": "Ingestion", "feature-view": "FeatureView", "model": "ModelLifecycle"}


def write_new(kind: str, name: str, defs: Path | None, *, source: str | None = None) -> None:
    """Write the template of `kind` into a folder called `name`.

    Args:
        source: Where a new ingestion reads; None: Python.

    Raises:
        typer.BadParameter: The name breaks the rules for names, or something else than an ingestion has a source.
        FileExists: The folder already holds a definition.
    """
    from mlops_assets.components.scaffolding import write_definition
    from mlops_assets.contract.names import Name

    if source and kind != "ingestion":
        raise typer.BadParameter(f"found a {kind}; only an ingestion reads from a source", param_hint="--from")
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise typer.BadParameter(f"found {name!r}: {error.errors()[0]['msg']}", param_hint="NAME") from error
    file = write_definition(KINDS[kind], defs_folder(defs) / name, source=source or "python")
    Console().print(f"Wrote [bold]{file}[/bold]. Fill in the lines marked `<...>`, then run `mlops check`.")
