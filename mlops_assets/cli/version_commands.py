"""The commands about registered versions: look, compare, approve, promote, go back."""

from typing import Annotated

import typer

app = typer.Typer()
Version = Annotated[str, typer.Argument(help="MODEL (its champion), MODEL@3, MODEL@challenger or MODEL@previous.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def models(json: AsJson = False) -> None:
    """List the registered models: who answers, who waits, how good and how old."""
    from mlops_assets.cli.models import print_models

    print_models(as_json=json)


@app.command()
def model(version: Version, json: AsJson = False) -> None:
    """Show one version: facts, decisions, verdict, metrics, recipe, features, lineage."""
    from mlops_assets.cli.models import print_model

    print_model(version, as_json=json)


@app.command()
def diff(
    left: Version,
    right: Version,
    all: Annotated[bool, typer.Option("--all", help="Also what is equal.")] = False,  # noqa: A002  it names the option
    json: AsJson = False,
) -> None:
    """Compare two versions: data, features, recipe, metrics, verdict, code."""
    from mlops_assets.cli.models import print_diff

    print_diff(left, right, everything=all, as_json=json)
