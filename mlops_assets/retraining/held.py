"""Windows under investigation, per model: out of training data and out of every baseline until a person releases them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.decoding import converted
from mlops_assets.lake.state import update
from mlops_assets.lake.windows import Window

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore


@dataclass(frozen=True)
class HeldWindow:
    """A window, why it is held, and the event that says so."""

    window: Window
    reason: str
    event_id: str


@dataclass(frozen=True)
class _Held:
    windows: dict[str, HeldWindow]
    schema_version: int = 1


def hold(state: StateStore, model: str, window: Window, *, reason: str, event_id: str) -> None:
    """Hold a window; a window that is held already keeps its first reason."""

    def change(stored: dict[str, Any] | None) -> dict[str, Any]:
        return _to_dict({window.key: HeldWindow(window, reason, event_id), **_read(stored)})

    update(state, _key(model), change)


def release(state: StateStore, model: str, window_key: str) -> bool:
    """Let a window count again; return False when it was not held."""
    was_held = window_key in {held.window.key for held in held_windows(state, model)}
    if was_held:
        update(state, _key(model), lambda stored: _to_dict(_without(_read(stored), window_key)))
    return was_held


def held_windows(state: StateStore, model: str) -> tuple[HeldWindow, ...]:
    """Return what is held, oldest window first."""
    stored = state.read(_key(model))
    return tuple(sorted(_read(stored[0] if stored else None).values(), key=lambda held: held.window.start))


def _key(model: str) -> str:
    return f"held/{model}"


def _read(stored: dict[str, Any] | None) -> dict[str, HeldWindow]:
    return converted(stored, _Held).windows if stored else {}


def _without(held: dict[str, HeldWindow], key: str) -> dict[str, HeldWindow]:
    return {other: value for other, value in held.items() if other != key}


def _to_dict(held: dict[str, HeldWindow]) -> dict[str, Any]:
    return msgspec.to_builtins(_Held(dict(sorted(held.items()))))
