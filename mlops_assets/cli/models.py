"""`mlops models`, `mlops model` and `mlops diff`: what is registered, what one version is, and how two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console

from mlops_assets.cli.version_page import page, sheet, text, unread
from mlops_assets.settings import load_settings

if TYPE_CHECKING:
    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.describe import ModelSummary, VersionFacts


def print_models(*, as_json: bool) -> None:
    """Print one line per registered model."""
    from mlops_assets.clock import open_clock
    from mlops_assets.registry.describe import summarize
    from mlops_assets.registry.lifecycle import cards, models_with_cards
    from mlops_assets.rollout.roles import roles

    settings = load_settings()
    state, now = _state(), open_clock(settings.home).now()
    found = [summarize(cards(state, name), roles(state, name), now=now) for name in models_with_cards(state)]
    if as_json:
        return _print_json(found)
    columns = ("model", "champion", "newest", "previous", "trained through", "on test rows", "age")
    table = sheet(f"models of {settings.env}", columns, map(_summary_row, found))
    Console().print(table if found else f"No version is registered in {settings.env} ({settings.lake}).")
    return None


def print_model(reference: str, *, as_json: bool) -> None:
    """Print everything that is known about one version.

    Raises:
        MlopsError: The reference names no version (`registry.reference`).
    """
    facts = _facts(reference)
    if as_json:
        return _print_json(facts)
    for part in page(facts):
        Console().print(part)
    return None


def print_diff(left: str, right: str, *, everything: bool, as_json: bool) -> None:
    """Print in what two versions differ.

    Raises:
        MlopsError: A reference names no version (`registry.reference`).
    """
    from mlops_assets.registry.differences import compare

    ours, theirs = _facts(left), _facts(right)
    found = compare(ours, theirs, everything=everything)
    if as_json:
        return _print_json(found)
    console, names = Console(), [f"{one.card.name}@{one.card.version}" for one in (ours, theirs)]
    for section in dict.fromkeys(one.section for one in found):
        rows = [(one.name, text(one.left), text(one.right)) for one in found if one.section == section]
        console.print(sheet(section, ("", *names), rows))
    if not found:
        console.print(f"{names[0]} and {names[1]} do not differ.")
    for line in unread(ours, theirs):
        console.print(line)
    return None


def _facts(reference: str) -> VersionFacts:
    from mlops_assets.registry.describe import describe
    from mlops_assets.registry.reference import find_version, split_reference
    from mlops_assets.rollout.roles import roles
    from mlops_assets.training.tracking import open_tracking

    state, (model, wanted) = _state(), split_reference(reference)
    taken = roles(state, model)
    return describe(find_version(state, model, wanted, taken), taken, open_tracking(load_settings()))


def _state() -> StateStore:
    from mlops_assets.lake.state import open_state

    return open_state(load_settings().lake)


def _summary_row(one: ModelSummary) -> tuple[str, ...]:
    waiting = f" (pending: {', '.join(map(str, one.pending))})" if one.pending else f" ({one.status})"
    cells = (one.model, one.champion, f"{one.newest}{waiting}", one.previous, (one.trained_through or "")[:16])
    return (*map(text, cells), text(one.metric), f"{one.age_days:.0f} d")


def _print_json(value: object) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
