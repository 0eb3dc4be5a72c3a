"""What follows a move of traffic: running servers load the version, MLflow mirrors it, and somebody is told."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlops_assets.rollout.errors import NoPreviousVersion, ServerRefused
from mlops_assets.rollout.heartbeat import Applied, LoadFailed, NoServer, TimedOut, wait_for_generation
from mlops_assets.rollout.mirror import try_to_mirror
from mlops_assets.rollout.rollouts import refuse
from mlops_assets.rollout.routing import read_routing
from mlops_assets.rollout.traffic import restore_previous

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.registry import Registry
    from mlops_assets.rollout.routing import Routed


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
        ServerRefused: A server could not load a version; its rollout is over, or the traffic went back to the one before.
    """
    routing = read_routing(state, model)
    entries = [one for one in routing[0].history if one.generation <= generation] if routing else []
    entry = entries[-1]  # the last change of traffic; later generations may have changed something else
    try:
        servers = _await_servers(state, model, entry.generation, home=home, env=env, now=now, timeout_s=timeout_s)
    finally:
        mirrored = try_to_mirror(registry, state, model)
    return {
        "version": entry.route.version,
        **_challenger(entry),
        "generation": generation,
        "mlops/candidate": entry.route.candidate_id,
        "artifact": entry.route.artifact_uri,
        "servers": servers,
        "aliases": mirrored,
        "routed_at": entry.at.isoformat(),
        "routed_by": entry.who,
        "reason": entry.reason,
    }


def _challenger(entry: Routed) -> dict[str, Any]:
    if entry.challenger is None:
        return {}
    return {"challenger": entry.challenger.route.version, "challenger_share": entry.challenger.share}


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
            _take_out(state, model, now=now, why=f"{url} could not load it: {error}", generation=generation)
            raise ServerRefused(model, url, error)
        case TimedOut(urls):
            return f"not loaded within {timeout_s:g} s by {', '.join(urls)}"


def _take_out(state: StateStore, model: str, *, now: datetime, why: str, generation: int) -> None:
    """Let the rollout that began the change end, or give the traffic back to the version before."""
    stored = read_routing(state, model)
    rollout = stored[0].rollout if stored else None
    if rollout is not None and rollout.is_active:
        refuse(state, model, why=why, now=now, generation=generation)
        return
    with suppress(NoPreviousVersion):  # the first version has nothing to go back to
        restore_previous(state, model, now=now, reason=f"load failed: {why}", generation=generation)
