"""`mlops approve`, `reject`, `promote` and `rollback`: the word of a person, kept with who, when and why.

Traffic moves first. Only then the servers are waited for, and MLflow and Dagster, which take seconds to import, are told.
"""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

from mlops_assets.clock import open_clock
from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import Decision, decide
from mlops_assets.rollout import promotion
from mlops_assets.rollout.routing import read_routing
from mlops_assets.settings import Settings, load_settings

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mlops_assets.lake.state import StateStore
    from mlops_assets.registry.registry import Registry

WAIT_SECONDS = 30.0  # for running servers
PATIENCE_SECONDS = 10.0  # for MLflow, which only mirrors


@dataclass(frozen=True)
class Desk:
    """Where a decision is taken: the places of this deployment, who decides, and when."""

    settings: Settings
    who: str

    @cached_property
    def state(self) -> StateStore:
        return open_state(self.settings.lake)

    @cached_property
    def now(self) -> datetime:
        return open_clock(self.settings.home).now()

    @property
    def registry(self) -> Registry:
        from mlops_assets.registry.registry import MlflowRegistry

        return MlflowRegistry(self.settings.mlflow_uri, self.settings.env, PATIENCE_SECONDS)


def open_desk(by: str | None) -> Desk:
    """Return the desk of this environment and person; by default who is logged in on which machine."""
    return Desk(load_settings(), by or _person())


def approve(model: str, version: int, *, reason: str, by: str | None, deploy: bool, defs: Path | None = None) -> None:
    """Approve a version that waits and give it the traffic, in steps if the model's file says so.

    Raises:
        MlopsError: See `rollout.promotion.approve`; or a server could not load it.
    """
    from mlops_assets.cli.rollouts import rollout_spec, settle_start

    desk = open_desk(by)
    spec = rollout_spec(model, defs) if deploy else None
    routing = promotion.approve(
        desk.state, model, version, who=desk.who, now=desk.now, reason=reason, deploy=deploy, spec=spec
    )
    typer.echo(f"{model}: version {version} is approved.")
    return _mirror(desk, model) if routing is None else settle_start(desk, model, routing, version)


def reject(model: str, version: int, *, reason: str, by: str | None) -> None:
    """Reject a version that waits: it never takes traffic.

    Raises:
        MlopsError: See `registry.lifecycle.decide`.
    """
    desk = open_desk(by)
    decide(desk.state, model, version, Decision("rejected", desk.who, desk.now, reason))
    typer.echo(f"{model}: version {version} is rejected.")
    _mirror(desk, model)


def promote(model: str, version: int, *, reason: str, by: str | None) -> None:
    """Give all traffic to a registered version.

    Raises:
        MlopsError: See `rollout.promotion.promote`; or a server could not load it.
    """
    desk = open_desk(by)
    ending = _ending(desk, model)
    generation = promotion.promote(desk.state, model, version, who=desk.who, now=desk.now, reason=reason)
    typer.echo(f"{model}: version {version} takes all traffic now.{ending}")
    settle(desk, model, generation)


def rollback(model: str, *, reason: str, by: str | None, reject_it: bool) -> None:
    """Give the traffic back to the version that answered before.

    Raises:
        MlopsError: See `rollout.promotion.roll_back`; or a server could not load it.
    """
    desk = open_desk(by)
    ending = _ending(desk, model)
    generation = promotion.roll_back(desk.state, model, who=desk.who, now=desk.now, reason=reason, reject=reject_it)
    if ending:
        typer.echo(f"{model}: {ending.strip()}")
    settle(desk, model, generation)


def settle(desk: Desk, model: str, generation: int) -> None:
    """Say that traffic has moved, wait for the servers, and tell MLflow and Dagster.

    Raises:
        ServerRefused: A server could not load the version; the traffic went back.
    """
    typer.echo(f"{model}: routed as generation {generation}.")
    from mlops_assets.rollout.settling import settle as follow

    settings = desk.settings
    shown = follow(
        desk.registry,
        desk.state,
        model,
        generation,
        home=settings.home,
        env=settings.env,
        now=desk.now,
        timeout_s=WAIT_SECONDS,
    )
    typer.echo(f"{model}: version {shown['version']} answers ({shown['servers']}). {shown['aliases']}")
    _show_in_dagster(settings, model, shown)


def _ending(desk: Desk, model: str) -> str:
    """Return what a sudden move of all traffic does to a rollout that is under way."""
    stored = read_routing(desk.state, model)
    rollout = stored[0].rollout if stored else None
    return f" This ends rollout {rollout.id} ({rollout.phase})." if rollout and rollout.is_active else ""


def _mirror(desk: Desk, model: str) -> None:
    from mlops_assets.rollout.mirror import try_to_mirror

    typer.echo(try_to_mirror(desk.registry, desk.state, model))


def _show_in_dagster(settings: Settings, model: str, shown: dict[str, Any]) -> None:
    """Report the deployment as a materialisation, if this machine has a Dagster instance."""
    if not (settings.dagster_home / "dagster.yaml").exists():
        return
    import dagster as dg

    from mlops_assets.resources.instance import open_instance

    event = dg.AssetMaterialization(dg.AssetKey([model, "deployment"]), metadata=shown)
    try:
        with open_instance(settings) as instance:
            instance.report_runless_asset_event(event)
    except Exception as error:  # noqa: BLE001  (traffic has moved; what Dagster shows cannot undo it)
        typer.echo(f"Dagster does not show it: {type(error).__name__}: {error}", err=True)


def _person() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
