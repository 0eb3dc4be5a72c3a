"""`mlops held` and `mlops release`: the windows under investigation, and the end of one."""

from rich.console import Console
from rich.table import Table

from mlops_assets.errors import MlopsError
from mlops_assets.settings import load_settings


class NotHeld(MlopsError):
    """A window was to be released that nobody holds."""

    def __init__(self, model: str, window: str, held: list[str]) -> None:
        super().__init__(
            f"{model}: window {window}",
            found=f"held windows {', '.join(held) or 'none'}",
            required="one of them",
            remedy=f"`mlops held {model}` lists them with their reasons.",
        )


def list_held(model: str) -> None:
    """Print the windows of a model that are kept out of training and of every baseline, or whose predictions are."""
    from mlops_assets.lake.state import open_state
    from mlops_assets.predictions.held import held_outputs
    from mlops_assets.retraining.held import held_windows

    state = open_state(load_settings().lake)
    table = Table("window", "what", "why", "event", title=f"{model}: windows under investigation", title_justify="left")
    for held in held_windows(state, model):
        table.add_row(held.window.key, "training", held.reason, held.event_id)
    for window, output in sorted(held_outputs(state, model).items()):
        table.add_row(window, f"{output.rows:,} predictions", "; ".join(output.reasons), "")
    Console().print(table if table.row_count else f"{model}: no window is held.")


def release_window(model: str, window: str) -> None:
    """Let a window count again, in training and as part of the past, and publish its predictions if they are held back.

    Raises:
        NotHeld: The window is not held.
    """
    from mlops_assets.lake.state import open_state
    from mlops_assets.predictions.held import held_outputs, release_output
    from mlops_assets.retraining.held import held_windows, release

    lake = load_settings().lake
    state = open_state(lake)
    published = release_output(state, lake=lake, model=model, window=window)
    counts_again = release(state, model, window)
    if published is None and not counts_again:
        held = {*(held.window.key for held in held_windows(state, model)), *held_outputs(state, model)}
        raise NotHeld(model, window, sorted(held))
    if published is not None:
        Console().print(f"{model}: {published:,} predictions of {window} are published.")
    if counts_again:
        Console().print(f"{model}: {window} counts again. Materialise `{model}/training_set` to train on it.")
