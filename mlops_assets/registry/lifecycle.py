"""The card of a version: what it is, where it came from, and what people decided about it.

Cards are small objects in the lake's state store and the truth about a version's status; MLflow's tags and aliases
mirror them (ADR 0023). Keep out: mlflow and anything heavy, because going back must not wait for an import.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from mlops_assets.decoding import converted
from mlops_assets.lake.state import update
from mlops_assets.registry.errors import AlreadyDecided, NoSuchVersion, NotDeployable, VersionTaken

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.lake.state import StateStore

Status = Literal["pending", "approved", "rejected"]
Verb = Literal["approved", "rejected"]
PREFIX = "versions/"
REBUILT, NOT_REBUILDABLE = "rebuilt", "not_rebuildable"  # names of marks
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a version."""

    what: Verb
    who: str
    at: datetime
    why: str


@dataclass(frozen=True)
class VersionCard:
    """A registered version.

    Attributes:
        name: The model.
        candidate_id: The candidate that it was; a copy in another environment keeps it.
        run_id: The MLflow run with its parameters, metrics and files.
        artifact_uri: Where the saved model is (`predictor.artifact.load`).
        sha256: Identity of the saved model.
        decisions: Oldest first; only ever added to.
        lineage: Everything that it came from, as the tags of its version in MLflow.
        copied_from: `<env>.<model>@<version>` of a copy.
        marks: What was found out about it since, by name: `rebuilt`, `not_rebuildable`.
    """

    name: str
    version: int
    candidate_id: str
    run_id: str
    artifact_uri: str
    sha256: str
    registered_at: datetime
    decisions: tuple[Decision, ...] = ()
    lineage: dict[str, str] = field(default_factory=dict[str, str])
    copied_from: str | None = None
    marks: dict[str, str] = field(default_factory=dict[str, str])
    schema_version: int = SCHEMA_VERSION

    @property
    def status(self) -> Status:
        """The last decision; pending before the first."""
        return self.decisions[-1].what if self.decisions else "pending"


def read_card(state: StateStore, model: str, version: int) -> VersionCard | None:
    """Return the card of a version, or None."""
    stored = state.read(_key(model, version))
    return None if stored is None else _card(stored[0])


def known_card(state: StateStore, model: str, version: int) -> VersionCard:
    """Return the card of a version.

    Raises:
        NoSuchVersion: It has none.
    """
    card = read_card(state, model, version)
    if card is None:
        raise NoSuchVersion(model, version, [one.version for one in cards(state, model)])
    return card


def cards(state: StateStore, model: str) -> list[VersionCard]:
    """Return the cards of a model, oldest version first."""
    stored = (state.read(key) for key in state.keys(f"{PREFIX}{model}/"))
    return sorted((_card(one[0]) for one in stored if one), key=lambda card: card.version)


def models_with_cards(state: StateStore) -> list[str]:
    """Return the names of all models that have a version, sorted."""
    return sorted({key.removeprefix(PREFIX).partition("/")[0] for key in state.keys(PREFIX)})


def add_card(state: StateStore, card: VersionCard) -> VersionCard:
    """Store the card of a new version and return it; a version that has one keeps it, with its decisions.

    Raises:
        VersionTaken: The number belongs to another candidate.
    """
    if state.put_if_absent(_key(card.name, card.version), msgspec.to_builtins(card)):
        return card
    known = known_card(state, card.name, card.version)
    if known.candidate_id != card.candidate_id:
        raise VersionTaken(known, card.candidate_id)
    return known


def decide(state: StateStore, model: str, version: int, decision: Decision) -> VersionCard:
    """Approve or reject a pending version; the same decision again changes nothing.

    Raises:
        NoSuchVersion: It has no card.
        AlreadyDecided: Somebody decided the opposite before.
    """

    def change(card: VersionCard) -> VersionCard:
        if card.status == decision.what:
            return card
        if card.status != "pending":
            raise AlreadyDecided(card, decision.what)
        return replace(card, decisions=(*card.decisions, decision))

    return _change(state, model, version, change)


def withdraw(state: StateStore, model: str, version: int, *, who: str, at: datetime, why: str) -> VersionCard:
    """Reject a version whatever was decided before; whoever calls this has taken its traffic away first."""

    def change(card: VersionCard) -> VersionCard:
        if card.status == "rejected":
            return card
        return replace(card, decisions=(*card.decisions, Decision("rejected", who, at, why)))

    return _change(state, model, version, change)


def mark(state: StateStore, model: str, version: int, name: str, text: str) -> VersionCard:
    """Note something about a version; an older note of that name gives way.

    Raises:
        NoSuchVersion: It has no card.
    """
    return _change(state, model, version, lambda card: replace(card, marks={**card.marks, name: text}))


def require_deployable(card: VersionCard) -> None:
    """Let approved versions pass.

    Raises:
        NotDeployable: It is pending or rejected.
    """
    if card.status != "approved":
        raise NotDeployable(card)


def _change(state: StateStore, model: str, version: int, change: Callable[[VersionCard], VersionCard]) -> VersionCard:
    def change_stored(stored: dict[str, Any] | None) -> dict[str, Any]:
        card = known_card(state, model, version) if stored is None else _card(stored)
        return msgspec.to_builtins(change(card))

    return _card(update(state, _key(model, version), change_stored)[0])


def _key(model: str, version: int) -> str:
    return f"{PREFIX}{model}/{version}"


def _card(stored: dict[str, Any]) -> VersionCard:
    return converted(stored, VersionCard)
