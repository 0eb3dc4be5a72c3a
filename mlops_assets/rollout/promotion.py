"""Move the traffic of a model at somebody's word.

Keep out: anything heavy, because going back must not wait for an import; and what follows a move (`settling.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.registry.integrity import verify_files
from mlops_assets.registry.lifecycle import Decision, decide, known_card, read_card, require_deployable
from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.routing import read_routing, restore_previous, route_of, start_rollout

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.lake.state import StateStore


def promote(state: StateStore, model: str, version: int, *, who: str, now: datetime, reason: str) -> int:
    """Give all traffic to a registered version; return the generation from which it answers.

    Raises:
        NoSuchVersion: No such version is registered.
        NotDeployable: It waits for approval or was rejected.
        CorruptArtifact: Its saved model is not whole.
    """
    card = known_card(state, model, version)
    require_deployable(card)
    verify_files(card.artifact_uri, card.sha256)
    return start_rollout(state, model, route_of(card), now=now, reason=reason, who=who)


def roll_back(state: StateStore, model: str, *, who: str, now: datetime, reason: str, reject: bool) -> int:
    """Give the traffic back to the version that answered before; return the new generation.

    Args:
        reject: The version that is taken out never takes traffic again.

    Raises:
        NotRouted: The model was never deployed.
        NoPreviousVersion: There is nothing to go back to.
        NotDeployable: The version before was rejected.
        CorruptArtifact: Its saved model is not whole.
    """
    stored = read_routing(state, model)
    if stored is None:
        raise NotRouted(model, now, None)
    previous = stored[0].previous
    card = read_card(state, model, previous.version) if previous else None
    if card is not None:  # none: it was deployed before versions had cards
        verify_files(card.artifact_uri, card.sha256)
    return restore_previous(state, model, now=now, reason=reason, who=who, reject=reject)


def approve(
    state: StateStore, model: str, version: int, *, who: str, now: datetime, reason: str, deploy: bool = True
) -> int | None:
    """Approve a version and give it all traffic; return the generation from which it answers.

    A second time nothing changes, except that a deployment which was left out or killed is made up for; a version that was
    routed once is not routed again.

    Args:
        deploy: Whether it takes traffic now; None is returned where it does not.

    Raises:
        NoSuchVersion: No such version is registered.
        AlreadyDecided: It was rejected.
        CorruptArtifact: Its saved model is not whole.
    """
    decide(state, model, version, Decision("approved", who, now, reason))
    if not deploy or _was_routed(state, model, version):
        return None
    return promote(state, model, version, who=who, now=now, reason=reason)


def _was_routed(state: StateStore, model: str, version: int) -> bool:
    stored = read_routing(state, model)
    return stored is not None and any(entry.route.version == version for entry in stored[0].history)
