"""What follows a move of traffic: running servers load the version, MLflow mirrors it, and somebody is told."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlops_assets.rollout.errors import NoPreviousVersion, ServerRefused
from mlops_assets.rollout.heartbeat import Applied, LoadFailed, NoServer, TimedOut, wait_for_generation
from mlops_assets.rollout.mirror import try_to_mirror
from mlops_assets.rollout.routing import read_routing, restore_previous

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.registry import Registry


def settle(
    registry: Registry,
    state: StateStore,
    model: str,
    generation: int,
    *,
    home: Path,
    env: str,
    now: datetime,
    timeout_s: float,
) -> dict[str, Any]:
    """Wait for the servers of this machine, mirror the aliases, and return what a deployment shows.

    Raises:
        ServerRefused: A server could not load the version; the traffic went back to the one before.
    """
    try:
        servers = _await_servers(state, model, generation, home=home, env=env, now=now, timeout_s=timeout_s)
    finally:
        mirrored = try_to_mirror(registry, state, model)
    stored = read_routing(state, model)
    entry = next(one for one in stored[0].history if one.generation == generation) if stored else None
    if entry is None:
        raise AssertionError  # a generation that was waited for is in the history
    return {
        "version": entry.route.version,
        "generation": generation,
        "mlops/candidate": entry.route.candidate_id,
        "artifact": entry.route.artifact_uri,
        "servers": servers,
        "aliases": mirrored,
        "routed_at": entry.at.isoformat(),
        "routed_by": entry.who,
        "reason": entry.reason,
    }


def _await_servers(
    state: StateStore, model: str, generation: int, *, home: Path, env: str, now: datetime, timeout_s: float
) -> str:
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
