"""`mlops models`, `mlops model` and `mlops diff`: what is registered, what one version is, and how two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mlops_assets.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.describe import ModelSummary, VersionFacts

DIGEST = 64
SHOWN_DIGITS = 12


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
    table = _table(f"models of {settings.env}", columns, map(_summary_row, found))
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
    console = Console()
    for table in _tables(facts):
        console.print(table)
    for note in facts.notes:
        console.print(f"[red]not read:[/] {escape(note)}")
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
        rows = [(one.name, _text(one.left), _text(one.right)) for one in found if one.section == section]
        console.print(_table(section, ("", *names), rows))
    if not found:
        console.print(f"{names[0]} and {names[1]} do not differ.")
    for note in (*ours.notes, *theirs.notes):
        console.print(f"[red]not read:[/] {escape(note)}")
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
    return (*map(_text, cells), _text(one.metric), f"{one.age_days:.0f} d")


def _tables(facts: VersionFacts) -> Iterable[Table]:
    from mlops_assets.registry.differences import flat

    card = facts.card
    yield _table(f"{card.name}@{card.version}", ("", ""), _identity(facts))
    yield _table(
        "decisions",
        ("what", "who", "when", "why"),
        [(d.what, _text(d.who), _time(d.at), _text(d.why)) for d in card.decisions],
    )
    if facts.verdict is not None:
        yield _table("verdict", ("", "criterion", "observed", "interval", "required"), _criteria(facts))
    parts, names = list(facts.metrics), dict.fromkeys(name for part in facts.metrics.values() for name in part)
    rows = [(name, *(_text(facts.metrics[part].get(name)) for part in parts)) for name in names]
    yield _table("metrics", ("", *parts), rows)
    yield _table("recipe", ("", ""), [(name, _text(value)) for name, value in flat(facts.recipe)])
    if facts.saved is not None:
        yield _table("features", ("", "kind"), list(facts.saved.features.items()))
    yield _table("lineage", ("", ""), sorted((name, _text(value)) for name, value in card.lineage.items()))


def _identity(facts: VersionFacts) -> list[tuple[str, str]]:
    card, saved, used = facts.card, facts.saved, facts.training_set
    rows = {
        "status": card.status,
        "role": ", ".join(facts.roles),
        "registered": _time(card.registered_at),
        "task": saved.task if saved else None,
        "classes": ", ".join(saved.classes) if saved else None,
        "trained through": saved.facts.get("trained_through") if saved else None,
        "training set": saved.facts.get("training_set_uri") if saved else None,
        "training rows": used.rows if used else None,
        "artefact": card.artifact_uri,
        "sha256": card.sha256,
        "candidate": card.candidate_id,
        "MLflow run": facts.mlflow_url,
        "copied from": card.copied_from,
    }
    return [(name, escape(str(value))) for name, value in rows.items() if value not in (None, "")]


def _criteria(facts: VersionFacts) -> Iterable[tuple[str, ...]]:
    for one in facts.verdict.criteria if facts.verdict else ():
        interval = "" if one.low is None else f"{_text(one.low)} to {_text(one.high)}"
        mark = "passed" if one.passed else "[red]failed[/]"
        yield mark, one.name, _text(one.observed), interval, _text(one.threshold)


def _table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=any(columns := tuple(columns)))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and len(value) == DIGEST and set(value) <= set("0123456789abcdef"):
        return value[:SHOWN_DIGITS]
    return "" if value is None else escape(str(value))


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _print_json(value: object) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
