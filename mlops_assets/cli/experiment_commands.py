"""`mlops experiment …`: plan, start, read and end an A/B test."""

from typing import Annotated

import typer

from mlops_assets.cli.version_commands import AsJson, By, Defs, Name, Number

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@app.command()
def plan(
    name: Name,
    units_per_day: Annotated[float | None, typer.Option(help="New units a day, instead of the file's.")] = None,
    defs: Defs = None,
) -> None:
    """Say how many units and days it takes, and what smaller effects would cost."""
    from mlops_assets.cli.experiment_page import print_plan

    print_plan(name, units_per_day, defs)


@app.command()
def start(
    name: Name,
    version: Number,
    hypothesis: Annotated[str, typer.Option(help="What you expect, and why; kept with the experiment.")],
    by: By = None,
    defs: Defs = None,
) -> None:
    """Compare a registered version with the champion, in traffic, as the model's file says now."""
    from mlops_assets.cli import experiments

    experiments.start(name, version, hypothesis=hypothesis, by=by, defs=defs)


@app.command()
def status(name: Name, json: AsJson = False) -> None:
    """Show the plan, what has been reached, the guardrails, and the verdict when there is one."""
    from mlops_assets.cli.experiment_page import print_status

    print_status(name, as_json=json)


@app.command()
def stop(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the experiment.")],
    by: By = None,
) -> None:
    """End it without a verdict: the champion answers alone."""
    from mlops_assets.cli import experiments

    experiments.stop(name, reason=reason, by=by)
