"""The commands about registered versions: look, compare, approve, promote, go back."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
Version = Annotated[str, typer.Argument(help="MODEL (its champion), MODEL@3, MODEL@challenger or MODEL@previous.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

Name = Annotated[str, typer.Argument(help="Name of a model.")]
Number = Annotated[int, typer.Argument(help="Number of a version.", min=1)]
Reason = Annotated[str, typer.Option(help="Why; kept with the version.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept in the routing's history.")]
By = Annotated[str | None, typer.Option(help="Who decides; by default the user and machine that run this.")]
Deploy = Annotated[bool, typer.Option("--deploy/--no-deploy", help="Whether it takes traffic now.")]
Defs = Annotated[Path | None, typer.Option("--defs", help="Folder of definition files.", file_okay=False, exists=True)]


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


@app.command()
def approve(
    name: Name, version: Number, reason: Reason, by: By = None, deploy: Deploy = True, defs: Defs = None
) -> None:
    """Approve a version that waits and bring it to traffic: in steps where the model's file has them, else at once."""
    from mlops_assets.cli import decisions

    decisions.approve(name, version, reason=reason, by=by, deploy=deploy, defs=defs)


@app.command()
def reject(name: Name, version: Number, reason: Reason, by: By = None) -> None:
    """Reject a version that waits: it never takes traffic."""
    from mlops_assets.cli import decisions

    decisions.reject(name, version, reason=reason, by=by)


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="Name of a model; with --to also MODEL@3.")],
    version: Annotated[int | None, typer.Argument(help="Number of a version.", min=1)] = None,
    reason: Why = "promoted by hand",
    by: By = None,
    to: Annotated[str | None, typer.Option(metavar="ENV", help="Copy it to this environment instead.")] = None,
    lake: Annotated[str | None, typer.Option(help="With --to: root of that lake, if it is another.")] = None,
    mlflow: Annotated[str | None, typer.Option(help="With --to: MLflow's URI there, if it is another.")] = None,
    deploy: Annotated[bool, typer.Option("--deploy", help="With --to: also give it all traffic there.")] = False,
) -> None:
    """Give all traffic to a registered version, now; or copy it with its lineage to another environment."""
    if to is not None:
        from mlops_assets.cli.copying import copy_to

        reference = name if version is None else f"{name}@{version}"
        return copy_to(reference, to, lake=lake, mlflow=mlflow, deploy=deploy, reason=reason, by=by)
    if version is None or lake or mlflow or deploy:
        raise typer.BadParameter("give a VERSION; or --to ENV, which --lake, --mlflow and --deploy belong to")
    from mlops_assets.cli import decisions

    return decisions.promote(name, version, reason=reason, by=by)


@app.command()
def rollback(
    name: Name,
    reason: Why = "rolled back by hand",
    by: By = None,
    reject: Annotated[bool, typer.Option("--reject", help="And never let the version back that is taken out.")] = False,
) -> None:
    """Give the traffic back to the version that answered before, now; a rollout that is under way ends."""
    from mlops_assets.cli import decisions

    decisions.rollback(name, reason=reason, by=by, reject_it=reject)
