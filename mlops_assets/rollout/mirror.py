"""Show in MLflow what the lake says: aliases follow the routing, tags of versions follow their cards."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from mlops_assets.registry.lifecycle import cards
from mlops_assets.registry.registry import Alias
from mlops_assets.rollout.roles import roles
from mlops_assets.rollout.traffic import settle_rejections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.lifecycle import VersionCard
    from mlops_assets.registry.registry import Registry

    Aliases = Mapping[str, int]
    Tags = Mapping[int, Mapping[str, str]]


def mirror_aliases(registry: Registry, state: StateStore, model: str) -> None:
    """Set the aliases and status tags of a model's versions; whatever is right already is left alone.

    Read again after writing, and repeated if anything moved: of two mirrors at once the slower one corrects itself.
    """
    seen = None
    while (wanted := _wanted(state, model)) != seen:
        _write(registry, model, *wanted)
        seen = wanted


def try_to_mirror(registry: Registry, state: StateStore, model: str) -> str:
    """Mirror after traffic has moved, which nothing that MLflow says can undo; return what became of it, as a sentence."""
    try:
        mirror_aliases(registry, state, model)
    except Exception as error:  # noqa: BLE001  (see above)
        return f"MLflow's aliases are behind: {error} The next deployment or `mlops promote` sets them."
    return "MLflow's aliases and tags follow."


def _wanted(state: StateStore, model: str) -> tuple[Aliases, Tags]:
    settle_rejections(state, model)
    return roles(state, model), {card.version: _tags(card) for card in cards(state, model)}


def _tags(card: VersionCard) -> dict[str, str]:
    tags = {"mlops/status": card.status}
    if card.decisions:
        last = card.decisions[-1]
        tags |= {"mlops/decided_by": last.who, "mlops/decided_at": last.at.isoformat(), "mlops/decided_why": last.why}
    return tags


def _write(registry: Registry, model: str, aliases: Aliases, tags: Tags) -> None:
    for version in registry.versions(model):
        wanted = tags.get(version.version, {})
        registry.set_tags(
            model, version.version, {key: one for key, one in wanted.items() if version.tags.get(key) != one}
        )
    for alias in get_args(Alias):
        wanted, current = aliases.get(alias), registry.by_alias(model, alias)
        if wanted is None:
            registry.drop_alias(model, alias)
        elif current is None or current.version != wanted:
            registry.set_alias(model, alias, wanted)
