"""The `mlops` command line: arguments in, exit codes out (0 fine, 1 findings or a failure, 2 misuse)."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli import (
    experiment_commands,
    keys,
    lineage_commands,
    rollout_commands,
    serve_command,
    version_commands,
)
from mlops_assets.settings import silence_telemetry

silence_telemetry()

app = typer.Typer(
    name="mlops",
    help="The machine-learning lifecycle as Dagster assets: one model is one file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for part in (version_commands.app, lineage_commands.app, serve_command.app):
    app.add_typer(part)
app.add_typer(rollout_commands.app, name="rollout", help="Look at a rollout, and have a say in it.")
app.add_typer(experiment_commands.app, name="experiment", help="Plan, start, read and end an A/B test.")
app.add_typer(keys.app, name="keys", help="Say who may ask the model server.")
Defs = Annotated[Path | None, typer.Option("--defs", help="Folder of definition files.", file_okay=False, exists=True)]


class Kind(StrEnum):
    """The kinds of definition file."""

    ingestion = "ingestion"
    feature_view = "feature-view"
    model = "model"


class Dialect(StrEnum):
    """The warehouses that `sql` writes for."""

    spark = "spark"
    snowflake = "snowflake"
    bigquery = "bigquery"
    redshift = "redshift"
    postgres = "postgres"
    athena = "athena"
    duckdb = "duckdb"


class From(StrEnum):
    """Where a new ingestion reads."""

    rest = "rest"
    sql = "sql"
    files = "files"
    external = "external"
    python = "python"


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Answer `--version`; everything else is a subcommand."""
    if version:
        from mlops_assets import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def check(defs: Defs = None) -> None:
    """Validate every definition file, also its SQL, and name files that nothing loads."""
    from mlops_assets.cli.check import check_files

    raise typer.Exit(check_files(defs))


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="Name of an ingestion, a feature view or a model.")], defs: Defs = None
) -> None:
    """List what a definition file produces: assets, checks, jobs, schedules, sensors."""
    from mlops_assets.cli.explain import explain_definition

    explain_definition(name, defs)


@app.command()
def sql(
    model: Annotated[str, typer.Argument(help="Name of a model.")],
    dialect: Annotated[Dialect, typer.Option(help="The warehouse that will run it.")],
    spine: Annotated[str | None, typer.Option(help="Table of the warehouse to read the spine from.")] = None,
    defs: Defs = None,
) -> None:
    """Print the query that joins a model's features in a warehouse, as they were known."""
    from mlops_assets.cli.sql import print_sql

    print_sql(model, dialect.value, spine=spine, defs=defs)


@app.command()
def new(
    kind: Annotated[Kind, typer.Argument(help="What to define.")],
    name: Annotated[str, typer.Argument(help="Its name: lower case, digits and single underscores.")],
    source: Annotated[From | None, typer.Option("--from", help="Where an ingestion reads (python).")] = None,
    defs: Defs = None,
) -> None:
    """Write a commented definition file to start from."""
    from mlops_assets.cli.new import write_new

    write_new(kind.value, name, defs, source=source.value if source else None)


@app.command()
def demo(
    weeks: Annotated[int, typer.Option(min=1, max=40, help="Weeks of 2013 to replay after March.")] = 40,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an earlier demo and begin again.")] = False,
) -> None:
    """Train on three months of real flights, replay the rest of the year, and show what happened."""
    from mlops_assets.cli.demo.run import run_demo

    run_demo(weeks=weeks, restart=restart)


@app.command(name="feast-export")
def feast_export(
    folder: Annotated[Path, typer.Argument(help="Where the Feast repository goes.", file_okay=False)],
    view: Annotated[list[str] | None, typer.Option(help="A feature view; again for more. All by default.")] = None,
    project: Annotated[str, typer.Option(help="Name of the Feast project.")] = "mlops_assets",
    defs: Defs = None,
) -> None:
    """Write feature views as a Feast repository, to be registered with `feast apply`."""
    from mlops_assets.cli.feast import export

    export(folder, view or [], defs, project)


@app.command()
def held(model: Annotated[str, typer.Argument(help="Name of a model.")]) -> None:
    """List the windows that an investigation keeps out of training."""
    from mlops_assets.cli.held import list_held

    list_held(model)


@app.command()
def release(
    model: Annotated[str, typer.Argument(help="Name of a model.")],
    window: Annotated[str, typer.Argument(help="Key of the window, such as 2013-05-19.")],
) -> None:
    """Let a held window count again, once its data is right or was right all along."""
    from mlops_assets.cli.held import release_window

    release_window(model, window)


@app.command("forget-online")
def forget_online(
    view: Annotated[str, typer.Argument(help="Name of a feature view.")],
    entity: Annotated[list[str], typer.Argument(help="Whom: COLUMN=VALUE for each entity column of the view.")],
    defs: Defs = None,
) -> None:
    """Remove an entity from the online store, and keep every later materialisation from bringing it back."""
    from mlops_assets.cli.forget import forget_online as forget

    forget(view, entity, defs)


@app.command()
def log(
    model: Annotated[str, typer.Argument(help="Name of a model.")],
    rows: Annotated[int, typer.Option(min=1, help="Lines to begin with; a line is one arm's part of a request.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
) -> None:
    """Print what a model answered lately on this machine, newest last."""
    from mlops_assets.cli.prediction_log import show_log

    show_log(model, rows=rows, is_followed=follow)


@app.command()
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be done.")] = False,
    retention_days: Annotated[
        int, typer.Option(min=0, help="Days that files stay which only unreferenced old versions need.")
    ] = 7,
    small_files: Annotated[int, typer.Option(min=1, help="Rewrite what has more small files than this.")] = 8,
) -> None:
    """Compact and vacuum the lake's tables; every version that a training set or a view names stays."""
    from mlops_assets.cli.maintain import maintain_and_list

    raise typer.Exit(maintain_and_list(dry_run=dry_run, retention_days=retention_days, small_files=small_files))


@app.command()
def requarantine(
    source: Annotated[str, typer.Argument(help="Name of an ingestion.")],
    table: Annotated[str, typer.Argument(help="One of its tables.")],
    window: Annotated[str | None, typer.Option(help="Key of one window; all by default.")] = None,
    defs: Defs = None,
) -> None:
    """Judge rows in quarantine by the contract of today, and publish those that pass."""
    from mlops_assets.cli.requarantine import release_rows

    release_rows(source, table, window, defs)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    serve_port: Annotated[int, typer.Option(help="Port of the model server.")] = 8080,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
) -> None:
    """Start the Dagster UI, its daemon, the model server and the MLflow UI; Ctrl-C stops them all."""
    from mlops_assets.cli.up import up as start

    raise typer.Exit(start(port=port, serve_port=serve_port, mlflow_port=mlflow_port))


def main() -> None:
    """Run the command; an error that a person can mend is one red line, not a traceback."""
    from mlops_assets.errors import MlopsError

    try:
        app()
    except MlopsError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
