"""Predictions that are held back: scored, kept beside the published ones, read by nobody but monitoring and who investigates.

Their rows are a table like that of the predictions; why they are held stands in the state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import converted
from mlops_assets.lake.staged import StagedWindow
from mlops_assets.lake.state import update
from mlops_assets.lake.stored_table import open_table
from mlops_assets.lake.tables import read, replace_window, snapshot
from mlops_assets.lake.uris import join
from mlops_assets.predictions.score import predictions_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mlops_assets.lake.state import StateStore


@dataclass(frozen=True)
class HeldOutput:
    """A window whose predictions are held back.

    Attributes:
        profile_id: What its rows look like; other rows are judged anew.
        is_released: A person let these rows pass.
    """

    reasons: tuple[str, ...]
    rows: int
    version: int
    profile_id: str
    is_released: bool = False


@dataclass(frozen=True)
class _Outputs:
    windows: dict[str, HeldOutput]
    schema_version: int = 1


def held_uri(lake: str, model: str) -> str:
    """Return where the predictions are that are held back."""
    return join(lake, "held_predictions", model)


def held_outputs(state: StateStore, model: str) -> dict[str, HeldOutput]:
    """Return what is held back, by window; without what was released."""
    return {key: one for key, one in _outputs(state, model).items() if not one.is_released}


def is_released(state: StateStore, model: str, window: str, profile_id: str) -> bool:
    """Tell whether a person let these very rows pass."""
    found = _outputs(state, model).get(window)
    return found is not None and found.is_released and found.profile_id == profile_id


def hold_output(
    state: StateStore, staged: StagedWindow, held: HeldOutput, *, lake: str, model: str, window: str
) -> None:
    """Keep a scored window aside. What was published of the window before stays as it is."""
    staged.move(held_uri(lake, model)).publish()
    _change(state, model, window, held)


def release_output(state: StateStore, *, lake: str, model: str, window: str) -> int | None:
    """Publish a window that is held back; return the number of its rows, or None if it is not held.

    It may be repeated after a crash.
    """
    held = held_outputs(state, model).get(window)
    if held is None:
        return None
    parts = _parts(held_uri(lake, model), window)
    first = next(parts)
    staged = StagedWindow(predictions_uri(lake, model), window, first.schema)
    for part in chain([first], parts):
        staged.write(part)
    staged.publish()
    _change(state, model, window, replace(held, is_released=True))
    _empty(lake, model, window)
    return staged.rows


def let_go(state: StateStore, *, lake: str, model: str, window: str) -> None:
    """Forget that a window was held back: it was scored again, and published."""
    if window in _outputs(state, model):
        _change(state, model, window, None)
        _empty(lake, model, window)


def window_rows(state: StateStore, *, lake: str, model: str, window: str) -> pa.Table:
    """Return the rows that the model scored last in a window, whether they are published or held back."""
    is_held = window in held_outputs(state, model)
    return read(held_uri(lake, model) if is_held else predictions_uri(lake, model), window=window)


def _parts(uri: str, window: str) -> Iterator[pa.Table]:
    """Yield the rows of a window in parts, at least one; a window without rows has the columns of the table."""
    import numpy as np

    kept = snapshot(uri, window=window)
    yield kept.schema.empty_table()
    for file in map(open_table, kept.files):
        yield from file.batches(np.arange(file.num_rows))


def _empty(lake: str, model: str, window: str) -> None:
    uri = held_uri(lake, model)
    replace_window(uri, snapshot(uri).schema.empty_table(), window=window)


def _outputs(state: StateStore, model: str) -> dict[str, HeldOutput]:
    stored = state.read(_key(model))
    return converted(stored[0], _Outputs).windows if stored else {}


def _change(state: StateStore, model: str, window: str, held: HeldOutput | None) -> None:
    def change(stored: dict[str, Any] | None) -> dict[str, Any]:
        windows = converted(stored, _Outputs).windows if stored else {}
        kept = {key: one for key, one in windows.items() if key != window}
        return msgspec.to_builtins(_Outputs({**kept, window: held} if held else kept))

    update(state, _key(model), change)


def _key(model: str) -> str:
    return f"held_output/{model}"
