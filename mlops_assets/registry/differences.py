"""Two versions side by side: data, features, recipe, metrics, verdict, code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlops_assets.registry.describe import VersionFacts

Value = str | int | float | bool | None
CODE = ("commit", "commit_is_dirty", "lock_sha256", "spec_sha256", "python", "platform")


@dataclass(frozen=True)
class Difference:
    """One fact of two versions; None where a version does not have it.

    Attributes:
        section: `data`, `features`, `recipe`, `metrics`, `verdict` or `code`.
    """

    section: str
    name: str
    left: Value
    right: Value


def compare(left: VersionFacts, right: VersionFacts, *, everything: bool = False) -> list[Difference]:
    """Return the facts in which two versions differ, by section; with `everything`, also those that are equal."""
    found: list[Difference] = []
    for section, facts_of in SECTIONS.items():
        ours, theirs = facts_of(left), facts_of(right)
        pairs = ((name, ours.get(name), theirs.get(name)) for name in dict.fromkeys([*ours, *theirs]))
        found += [Difference(section, name, a, b) for name, a, b in pairs if everything or a != b]
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield the leaves of nested mappings under dotted names, lists as text.

    >>> dict(flat({"params": {"max_depth": 3}, "seed": 0}))
    {'params.max_depth': 3, 'seed': 0}
    """
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str | int | float | bool | None) else str(value)


def _data(facts: VersionFacts) -> dict[str, Value]:
    saved, used = facts.saved, facts.training_set
    found: dict[str, Value] = {}
    if saved is not None:
        found = {
            name: saved.facts.get(name) for name in ("training_set", "trained_through", "train_until", "test_after")
        }
    if used is None:
        return found
    return {
        **found,
        "rows": used.rows,
        "as_of": used.as_of.isoformat(),
        "pending labels": used.labels.pending,
        "censored labels": used.labels.censored,
        "held windows": ", ".join(window.key for window in used.held_windows),
        "window_days": used.window_days,
        **{f"table {name}": version for name, version in sorted(used.sources.items())},
        **{f"view {name}": view.version for name, view in sorted(used.views.items())},
    }


def _features(facts: VersionFacts) -> dict[str, Value]:
    """Return the kind of each feature, and the digests of what defines them."""
    found: dict[str, Value] = dict(facts.saved.features) if facts.saved else {}
    used = facts.training_set
    if used is None:
        return found
    views = {f"definition of view {name}": view.definition for name, view in sorted(used.views.items())}
    return {
        **found,
        **views,
        "definition of the spine": used.spine_definition,
        "request function": used.request_sha256,
    }


def _recipe(facts: VersionFacts) -> dict[str, Value]:
    return dict(flat(facts.recipe))


def _metrics(facts: VersionFacts) -> dict[str, Value]:
    return {f"{part} {name}": value for part, values in facts.metrics.items() for name, value in values.items()}


def _verdict(facts: VersionFacts) -> dict[str, Value]:
    criteria = facts.verdict.criteria if facts.verdict else ()
    return {criterion.name: criterion.observed for criterion in criteria}


def _code(facts: VersionFacts) -> dict[str, Value]:
    if facts.saved is None:
        return {}
    return {**{name: facts.saved.facts.get(name) for name in CODE}, **facts.saved.libraries}


SECTIONS: dict[str, Callable[[VersionFacts], dict[str, Value]]] = {
    "data": _data,
    "features": _features,
    "recipe": _recipe,
    "metrics": _metrics,
    "verdict": _verdict,
    "code": _code,
}
