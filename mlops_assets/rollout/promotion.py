"""Move the traffic of a model at a person's word: routing first, then wait for the servers of this machine.

Keep out: anything heavy; going back must not wait for an import.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mlops_assets.registry.integrity import verify_files
from mlops_assets.registry.lifecycle import known_card, read_card, require_deployable
from mlops_assets.rollout.errors import NoPreviousVersion, NotRouted, ServerRefused
from mlops_assets.rollout.heartbeat import Applied, LoadFailed, NoServer, TimedOut, wait_for_generation
from mlops_assets.rollout.routing import read_routing, restore_previous, route_of, start_rollout

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

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


def was_routed(state: StateStore, model: str, version: int) -> bool:
    """Return whether a version takes traffic, or once did."""
    stored = read_routing(state, model)
    return stored is not None and any(entry.route.version == version for entry in stored[0].history)


def await_servers(
    state: StateStore, model: str, generation: int, *, home: Path, env: str, now: datetime, timeout_s: float
) -> str:
    """Wait until the running servers of this machine answer with a generation, and say what they do.

    Raises:
        ServerRefused: A server could not load the version; the traffic went back to the one before.
    """
    outcome = wait_for_generation(home, model, generation, env=env, timeout_s=timeout_s)
    match outcome:
        case Applied(urls):
            return f"loaded by {', '.join(urls)}"
        case NoServer():
            return "no server runs on this machine"
        case LoadFailed(url, error):
            with suppress(NoPreviousVersion):  # the first version has nothing to go back to
                restore_previous(state, model, now=now, reason=f"load failed: {error}", generation=generation)
            raise ServerRefused(model, url, error)
        case TimedOut(urls):
            return f"not loaded within {timeout_s:g} s by {', '.join(urls)}"
