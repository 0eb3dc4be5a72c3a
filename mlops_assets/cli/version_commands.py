"""The commands about registered versions: look, compare, approve, promote, go back."""

import typer

app = typer.Typer()
