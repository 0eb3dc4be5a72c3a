"""How a person names a version: `MODEL`, `MODEL@3`, `MODEL@champion`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.registry.lifecycle import known_card, models_with_cards

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.lifecycle import VersionCard

DEFAULT = "champion"


class UnknownModel(MlopsError):
    """No version of such a model was ever registered."""

    def __init__(self, model: str, known: Sequence[str]) -> None:
        super().__init__(
            f"model {model!r}",
            found=f"registered models: {', '.join(known) or 'none'}",
            required="a model with a registered version in this deployment",
            remedy="Correct the name, check MLOPS_ENV and MLOPS_LAKE, or train and register it first.",
        )


class UnknownReference(MlopsError):
    """What follows the `@` names no version."""

    def __init__(self, model: str, wanted: str, roles: Mapping[str, int]) -> None:
        found = ", ".join(f"{role} ({version})" for role, version in roles.items())
        super().__init__(
            f"{model}@{wanted}",
            found=f"roles taken: {found or 'none'}",
            required="the number of a version, or a role that a version has",
            remedy=f"Choose one of these, or a number that `mlops model {model}` or `mlops models` lists.",
        )


def find_version(state: StateStore, model: str, wanted: str, roles: Mapping[str, int]) -> VersionCard:
    """Return the card of a version.

    Args:
        wanted: Its number, or its role.
        roles: Version of each role that is taken.

    Raises:
        UnknownModel: The model has no version.
        UnknownReference: The role is not taken, or is none.
        NoSuchVersion: There is no such number.
    """
    known = models_with_cards(state)
    if model not in known:
        raise UnknownModel(model, known)
    if wanted.isdecimal():
        return known_card(state, model, int(wanted))
    if wanted not in roles:
        raise UnknownReference(model, wanted, roles)
    return known_card(state, model, roles[wanted])


def split_reference(reference: str) -> tuple[str, str]:
    """Return the model and what is wanted of it.

    >>> split_reference("delay@3"), split_reference("delay")
    (('delay', '3'), ('delay', 'champion'))
    """
    model, _, wanted = reference.partition("@")
    return model, wanted or DEFAULT
