"""Move the traffic of a model at somebody's word.

Keep out: anything heavy, because going back must not wait for an import; and what follows a move (`settling.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.registry.integrity import verify_files
from mlops_assets.registry.lifecycle import Decision, decide, known_card, read_card, require_deployable
from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.outcome import became
from mlops_assets.rollout.rollouts import start
from mlops_assets.rollout.routing import read_routing, route_of
from mlops_assets.rollout.traffic import give_all_traffic, restore_previous

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.spec import RolloutSpec
    from mlops_assets.rollout.state import Route


def promote(state: StateStore, model: str, version: int, *, who: str, now: datetime, reason: str) -> int:
    """Give all traffic to a registered version; return the generation from which it answers.

    Raises:
        NoSuchVersion: No such version is registered.
        NotDeployable: It waits for approval or was rejected.
        CorruptArtifact: Its saved model is not whole.
    """
    route = _sound_route(state, model, version)
    return give_all_traffic(state, model, route, now=now, reason=reason, who=who)


def bring(
    state: StateStore, model: str, version: int, spec: RolloutSpec | None, *, who: str, now: datetime, reason: str
) -> Routing:
    """Bring a registered version to full traffic as its model's file says: in steps, or at once; return the routing.

    Args:
        spec: With `assign_by` written out; None: at once.

    Raises:
        NoSuchVersion: No such version is registered.
        NotDeployable: It waits for approval or was rejected.
        CorruptArtifact: Its saved model is not whole.
    """
    route = _sound_route(state, model, version)
    return start(state, model, route, spec, now=now, reason=reason, who=who)


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
    is_under_way = stored[0].challenger is not None  # then traffic goes to the champion, which answers already
    card = read_card(state, model, previous.version) if previous and not is_under_way else None
    if card is not None:  # none: it was deployed before versions had cards
        verify_files(card.artifact_uri, card.sha256)
    return restore_previous(state, model, now=now, reason=reason, who=who, reject=reject)


def approve(
    state: StateStore,
    model: str,
    version: int,
    *,
    who: str,
    now: datetime,
    reason: str,
    deploy: bool = True,
    spec: RolloutSpec | None = None,
) -> Routing | None:
    """Approve a version and bring it to full traffic as its model's file says; return the routing.

    A second time nothing changes, except that a deployment which was left out or killed is made up for; a version that was
    routed once is not routed again.

    Args:
        deploy: Whether it takes traffic now; None is returned where it does not.
        spec: The steps, with `assign_by` written out; None: all traffic at once.

    Raises:
        NoSuchVersion: No such version is registered.
        AlreadyDecided: It was rejected.
        CorruptArtifact: Its saved model is not whole.
    """
    decide(state, model, version, Decision("approved", who, now, reason))
    if not deploy or _was_routed(state, model, version):
        return None
    return bring(state, model, version, spec, who=who, now=now, reason=reason)


def _sound_route(state: StateStore, model: str, version: int) -> Route:
    card = known_card(state, model, version)
    require_deployable(card)
    verify_files(card.artifact_uri, card.sha256)
    return route_of(card)


def _was_routed(state: StateStore, model: str, version: int) -> bool:
    stored = read_routing(state, model)
    return stored is not None and became(stored[0], version) != "unknown"
