"""How one version is shown: a handful of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mlops_assets.evaluation.report.model_card import page_uri

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mlops_assets.evaluation.verdict import Verdict
    from mlops_assets.registry.describe import VersionFacts

DIGEST = 64
SHOWN_DIGITS = 12


def page(facts: VersionFacts) -> Iterable[Table | str]:
    """Yield what there is to see of a version, the most important first."""
    from mlops_assets.registry.differences import flat

    card = facts.card
    yield sheet(f"{card.name}@{card.version}", ("", ""), _identity(facts))
    decisions = [(d.what, text(d.who), _time(d.at), text(d.why)) for d in card.decisions]
    if decisions:
        yield sheet("decisions", ("what", "who", "when", "why"), decisions)
    if facts.verdict is not None:
        yield sheet("verdict", ("", "criterion", "observed", "interval", "required"), _criteria(facts.verdict))
        yield from (f"note: {escape(note)}" for note in facts.verdict.notes)
    parts, names = list(facts.metrics), dict.fromkeys(name for part in facts.metrics.values() for name in part)
    rows = [(name, *(text(facts.metrics[part].get(name)) for part in parts)) for name in names]
    yield sheet("metrics", ("", *parts), rows)
    yield sheet("recipe", ("", ""), [(name, text(value)) for name, value in flat(facts.recipe)])
    if facts.saved is not None:
        yield sheet("features", ("", "kind"), list(facts.saved.features.items()))
    yield sheet("lineage", ("", ""), sorted((name, text(value)) for name, value in card.lineage.items()))
    yield from unread(facts)


def _identity(facts: VersionFacts) -> list[tuple[str, str]]:
    card, saved, used = facts.card, facts.saved, facts.training_set
    rows = {
        "status": card.status,
        "role": ", ".join(facts.roles),
        "registered": _time(card.registered_at),
        "task": saved.task if saved else None,
        "classes": ", ".join(saved.classes) if saved else None,
        "trained through": saved.facts.get("trained_through") if saved else None,
        "training set": card.lineage.get("mlops/training_set_uri"),
        "training rows": used.rows if used else None,
        "artefact": card.artifact_uri,
        "sha256": card.sha256,
        "candidate": card.candidate_id,
        "MLflow run": facts.mlflow_url,
        "report": card.lineage.get("mlops/report"),
        "model card": page_uri(card.artifact_uri),
        "copied from": card.copied_from,
        **card.marks,
    }
    return [(name, escape(str(value))) for name, value in rows.items() if value not in (None, "")]


def _criteria(verdict: Verdict) -> Iterable[tuple[str, ...]]:
    for one in verdict.criteria:
        interval = "" if one.low is None else f"{text(one.low)} to {text(one.high)}"
        mark = "passed" if one.passed else "[red]failed[/]"
        yield mark, one.name, text(one.observed), interval, text(one.threshold)


def sheet(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Table:
    """Return a table; without names of columns it has no head."""
    table = Table(title=title, title_justify="left", show_header=any(columns := tuple(columns)))
    for position, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=position == 0 and column == "model")
    for row in rows:
        table.add_row(*row)
    return table


def text(value: object) -> str:
    """Return a value as a cell: numbers and digests shortened, nothing for None."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and len(value) == DIGEST and set(value) <= set("0123456789abcdef"):
        return value[:SHOWN_DIGITS]
    return "" if value is None else escape(str(value))


def unread(*versions: VersionFacts) -> Iterable[str]:
    """Yield a line for each part that could not be read."""
    return (f"[red]not read:[/] {escape(note)}" for facts in versions for note in facts.notes)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
