"""Change one stored object while others may be changing it too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore

Change = Callable[[dict[str, Any] | None], dict[str, Any]]
ATTEMPTS = 20


def update(state: StateStore, key: str, change: Change) -> dict[str, Any]:
    """Apply `change` to the stored value (None if absent) and store the result; repeated when another writer was first.

    Raises:
        StateConflict: Other writers were first every time.
    """
    from mlops_assets.lake.state import StateConflict

    for _ in range(ATTEMPTS - 1):
        try:
            return _update_once(state, key, change)
        except StateConflict:
            continue
    return _update_once(state, key, change)


def _update_once(state: StateStore, key: str, change: Change) -> dict[str, Any]:
    value, generation = state.read(key) or (None, 0)
    changed = change(value)
    if changed != value:
        state.swap(key, changed, generation=generation)
    return changed
