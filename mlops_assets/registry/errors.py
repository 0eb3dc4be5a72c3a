"""Why a version cannot be registered, decided about, or deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.registry.lifecycle import Verb, VersionCard


class NoSuchVersion(MlopsError):
    """A version has no card."""

    def __init__(self, model: str, version: int, known: list[int]) -> None:
        super().__init__(
            f"{model}: version {version}",
            found=f"versions {', '.join(map(str, known)) or 'none'}",
            required="a registered version",
            remedy=f"Choose one of these, or materialise `{model}/registered_version`.",
        )


class VersionTaken(MlopsError):
    """The registry gave out a number a second time."""

    def __init__(self, card: VersionCard, candidate_id: str) -> None:
        super().__init__(
            f"{card.name}: version {card.version} for candidate {candidate_id}",
            found=f"the lake's card of that number, for candidate {card.candidate_id}",
            required="a number that no other candidate has",
            remedy="MLflow has lost versions that the lake knows. Restore its database, or point to the right one.",
        )


class AlreadyDecided(MlopsError):
    """A decision against an earlier one."""

    def __init__(self, card: VersionCard, verb: Verb) -> None:
        last = card.decisions[-1]
        remedy = (
            "Train another candidate; a rejected version stays out."
            if last.what == "rejected"
            else f"If it takes traffic, `mlops rollback {card.name} --reject` takes it out and rejects it."
        )
        super().__init__(
            f"{card.name}: version {card.version} cannot be {verb}",
            found=f"{last.what} by {last.who} on {last.at:%Y-%m-%d %H:%M} ({last.why})",
            required="a pending version",
            remedy=remedy,
        )


class NotDeployable(MlopsError):
    """A version that waits, or was rejected, was to take traffic or to be copied."""

    def __init__(self, card: VersionCard) -> None:
        if card.status == "pending":
            found, remedy = "pending", f"Run `mlops approve {card.name} {card.version} --reason TEXT` if it may."
        else:
            last = card.decisions[-1]
            found = f"rejected by {last.who} on {last.at:%Y-%m-%d %H:%M} ({last.why})"
            remedy = "Choose another version; a rejected one never takes traffic."
        what = f"{card.name}: version {card.version} cannot be deployed"
        super().__init__(what, found=found, required="an approved version", remedy=remedy)
