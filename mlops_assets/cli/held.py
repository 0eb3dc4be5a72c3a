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
    """Print the windows of a model that are kept out of training and of every baseline."""
    from mlops_assets.lake.state import open_state
    from mlops_assets.retraining.held import held_windows

    table = Table("window", "why", "event", title=f"{model}: windows under investigation", title_justify="left")
    for held in held_windows(open_state(load_settings().lake), model):
        table.add_row(held.window.key, held.reason, held.event_id)
    Console().print(table if table.row_count else f"{model}: no window is held.")


def release_window(model: str, window: str) -> None:
    """Let a window count again, in training and as part of the past.

    Raises:
        NotHeld: The window is not held.
    """
    from mlops_assets.lake.state import open_state
    from mlops_assets.retraining.held import held_windows, release

    state = open_state(load_settings().lake)
    if not release(state, model, window):
        raise NotHeld(model, window, [held.window.key for held in held_windows(state, model)])
    Console().print(f"{model}: {window} counts again. Materialise `{model}/training_set` to train on it.")
