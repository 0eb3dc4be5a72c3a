"""`mlops keys`: who may ask the model server."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)
File = Annotated[Path | None, typer.Option("--file", help="File of keys; `keys.json` in MLOPS_HOME by default.")]
Name = Annotated[str, typer.Argument(help="Name of the key: who uses it.")]


class Scope(StrEnum):
    """What a key opens."""

    invoke = "invoke"
    admin = "admin"


@app.command()
def create(
    name: Name,
    scope: Annotated[Scope, typer.Option(help="invoke: scoring and feedback; admin: admin routes.")] = Scope.invoke,
    file: File = None,
) -> None:
    """Make a key and print its token, this once: only a hash is kept."""
    from mlops_assets.clock import SystemClock
    from mlops_assets.serving.keys import create_key

    path = _path(file)
    token = create_key(path, name, scope.value, now=SystemClock().now())
    typer.echo(f"Key {name} ({scope.value}) is in {path}, for `mlops serve --keys-file {path}`.", err=True)
    typer.echo("Its token, shown only now:", err=True)
    typer.echo(token)


@app.command(name="list")
def list_keys(file: File = None) -> None:
    """List the keys; tokens are not kept."""
    from mlops_assets.serving.keys import read_keys

    path = _path(file)
    keys = read_keys(path)
    for key in keys:
        typer.echo(f"{key.name}  {key.scope}  {key.created_at:%Y-%m-%d %H:%M}Z")
    if not keys:
        typer.echo(f"There is no key in {path}: a server with it refuses everybody.", err=True)


@app.command()
def revoke(name: Name, file: File = None) -> None:
    """Remove a key; running servers refuse it within a second."""
    from mlops_assets.serving.keys import revoke_key

    revoke_key(_path(file), name)
    typer.echo(f"Key {name} is revoked.")


def _path(file: Path | None) -> Path:
    from mlops_assets.settings import load_settings

    return file or load_settings().home / "keys.json"
