"""`mlops log`: what a model answered lately on this machine."""

import time
from collections.abc import Iterable
from typing import Any

import typer

from mlops_assets.errors import MlopsError
from mlops_assets.predictions.log.segments import KINDS, all_segments, kind_folder, log_folder
from mlops_assets.predictions.log.tail import Entry, Tail
from mlops_assets.settings import load_settings

POLL_SECONDS = 0.3
SHOWN_PREDICTIONS = 3
HEADER = f"{'time (UTC)':<23}  {'variant':<10}  {'version':>7}  {'status':>6}  {'ms':>8}  predictions"


class NotLogged(MlopsError):
    """No server of this machine has logged the model."""

    def __init__(self, model: str, folder: str, found: Iterable[str]) -> None:
        super().__init__(
            f"{model}: prediction log",
            found=f"logs of {', '.join(found) or 'no model'} in {folder}",
            required="at least one request that `mlops serve` answered",
            remedy="Correct the name, or send the model a request. Older rows may be in its table, `prediction_log`, only.",
        )


def show_log(model: str, *, rows: int, is_followed: bool) -> None:
    """Print the newest lines of the log, and with `is_followed` those that come, until interrupted.

    Raises:
        NotLogged: There is no log of the model here.
    """
    settings = load_settings()
    root = log_folder(settings.home, settings.env)
    folder = kind_folder(root, model)
    if not is_followed and not all_segments(folder):
        found = sorted(path.name for path in root.glob("*") if (path / KINDS["capture"]).is_dir())
        raise NotLogged(model, str(root), found)
    tail = Tail(folder)
    typer.echo(HEADER)
    _print(tail.newest(rows))
    while is_followed:
        time.sleep(POLL_SECONDS)
        _print(tail.later())
    if tail.unreadable:
        typer.secho(f"{tail.unreadable} lines are not of this log's form.", fg=typer.colors.YELLOW, err=True)


def _print(entries: Iterable[Entry]) -> None:
    for entry in entries:
        typer.echo(_text(entry))


def _text(entry: Entry) -> str:
    logged = entry.logged
    variant = "shadow" if logged.role == "shadow" else logged.variant
    at = entry.at.removesuffix("Z").replace("T", " ")[:23]
    ms = f"{logged.latency_us / 1000:.1f}"
    said = _predictions(logged.predictions) or logged.error
    note = f"  (for the {logged.assigned})" if logged.assigned != logged.variant and logged.role == "answer" else ""
    return f"{at:<23}  {variant:<10}  {logged.version:>7}  {logged.status:>6}  {ms:>8}  {said}{note}"


def _predictions(values: list[Any]) -> str:
    shown = ", ".join(_prediction(value) for value in values[:SHOWN_PREDICTIONS])
    more = len(values) - SHOWN_PREDICTIONS
    return f"{shown}, and {more} more" if more > 0 else shown


def _prediction(value: Any) -> str:
    if isinstance(value, dict):  # of several classes
        return f"{value['class']} {value['probabilities'].get(value['class'], 0):.2f}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
