"""`mlops rollout …`: look at a rollout, and have a say in it."""

from typing import Annotated

import typer

from mlops_assets.cli.version_commands import AsJson, By, Defs, Name, Number

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
Why = Annotated[str, typer.Option("--reason", help="Why; kept with the rollout.")]


@app.command()
def status(name: Name, json: AsJson = False) -> None:
    """Show the steps, the evidence, what was done, and what the servers of this machine answer with."""
    from mlops_assets.cli.rollout_page import print_status

    print_status(name, as_json=json)


@app.command()
def start(name: Name, version: Number, reason: Why = "started by hand", by: By = None, defs: Defs = None) -> None:
    """Begin the rollout of a registered version, with the steps of the model's file."""
    from mlops_assets.cli import rollouts

    rollouts.start(name, version, reason=reason, by=by, defs=defs)


@app.command()
def pause(name: Name, reason: Why, by: By = None) -> None:
    """Stay at this step; it is judged on, and rolled back if it fails."""
    from mlops_assets.cli import rollouts

    rollouts.say(name, "pause", reason=reason, by=by)


@app.command()
def resume(name: Name, reason: Why, by: By = None) -> None:
    """Go on with this step, whose time begins anew."""
    from mlops_assets.cli import rollouts

    rollouts.say(name, "resume", reason=reason, by=by)


@app.command()
def abort(name: Name, reason: Why, by: By = None) -> None:
    """End it: the champion answers alone. A version that waits for its rollout waits no longer."""
    from mlops_assets.cli import rollouts

    rollouts.say(name, "abort", reason=reason, by=by)


@app.command()
def promote(
    name: Name,
    reason: Why,
    by: By = None,
    full: Annotated[bool, typer.Option("--full", help="All traffic now, whatever the evidence.")] = False,
) -> None:
    """Go past a manual gate or a pause to the next step."""
    from mlops_assets.cli import rollouts

    rollouts.say(name, "promote", reason=reason, by=by, full=full)
