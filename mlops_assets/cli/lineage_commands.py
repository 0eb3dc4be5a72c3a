"""The commands about where a version came from and what is kept of it: rebuild, retention, forget."""

import typer

app = typer.Typer()
