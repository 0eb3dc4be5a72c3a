"""`mlops rollout start`, `pause`, `resume`, `abort` and `promote`: the word of a person, kept with the rollout.

Traffic moves first, as with `decisions.py`. Keep out: what `mlops rollout status` shows (`rollout_page.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mlops_assets.cli.decisions import Desk, open_desk, settle
from mlops_assets.errors import MlopsError
from mlops_assets.rollout import promotion
from mlops_assets.rollout.machine import spec_of
from mlops_assets.rollout.moves import named
from mlops_assets.rollout.rollouts import act

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_assets.rollout.rollouts import Word
    from mlops_assets.rollout.routing import Routing
    from mlops_assets.rollout.spec import RolloutSpec


class UnreadableSteps(MlopsError):
    """Whether a model has a rollout cannot be told, because a definition file does not load."""

    def __init__(self, model: str, finding: str) -> None:
        super().__init__(
            f"{model}: the steps of its rollout",
            found=f"no file that defines it and loads; one that does not load: {finding}",
            required="files that load, or a model that no file defines",
            remedy="Run `mlops check` and mend the file, or say --no-deploy.",
        )


class NoSteps(MlopsError):
    """A rollout was asked for, and the model's file has none."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model}: starting a rollout",
            found="no `rollout:` in its file, or no file",
            required="a file with `rollout:`",
            remedy=f"Add it, or run `mlops promote {model} VERSION` for all traffic at once.",
        )


def start(model: str, version: int, *, reason: str, by: str | None, defs: Path | None) -> None:
    """Begin the rollout of a registered version.

    Raises:
        NoSteps: The model's file declares none.
        MlopsError: See `rollout.promotion.bring`; or a server could not load it.
    """
    desk, spec = open_desk(by), rollout_spec(model, defs)
    if spec is None:
        raise NoSteps(model)
    routing = promotion.bring(desk.state, model, version, spec, who=desk.who, now=desk.now, reason=reason)
    settle_start(desk, model, routing, version)


def say(model: str, word: Word, *, reason: str, by: str | None, full: bool = False) -> None:
    """Let a person have a say in the rollout that is under way.

    Raises:
        MlopsError: See `rollout.rollouts.act`; or a server could not load a version.
    """
    desk = open_desk(by)
    routing = act(desk.state, model, word, who=desk.who, why=reason, now=desk.now, full=full)
    rollout, last = routing.rollout, routing.history[-1]
    if last.let_go is not None and last.generation == routing.generation:
        typer.echo(f"{model}: version {last.let_go} no longer waits for its rollout.")
    elif rollout is not None:
        step = named(spec_of(rollout).steps[rollout.step])
        typer.echo(f"{model}: rollout {rollout.id} is {rollout.phase.replace('_', ' ')}, {step}.")
    if word not in ("pause", "resume"):  # they leave the traffic as it is
        settle(desk, model, last.generation)


def settle_start(desk: Desk, model: str, routing: Routing, version: int) -> None:
    """Say how a version begins, then as `settle`.

    Raises:
        ServerRefused: A server could not load it; its rollout is over, or the traffic went back.
    """
    rollout, queued = routing.rollout, routing.queued
    if queued is not None and queued.route.version == version:
        typer.echo(f"{model}: version {version} waits for its rollout: {queued.behind}.")
    elif rollout is not None and rollout.is_active and rollout.challenger.version == version:
        steps = ", ".join(named(step) for step in spec_of(rollout).steps)
        typer.echo(f"{model}: rollout {rollout.id} has begun (steps: {steps}).")
    settle(desk, model, routing.history[-1].generation)


def rollout_spec(model: str, defs: Path | None) -> RolloutSpec | None:
    """Return the steps that a model's file declares; None: all traffic at once, also where no file defines the model.

    Raises:
        UnreadableSteps: No file defines it that loads, but one does not load.
    """
    from mlops_assets.cli.places import defs_folder
    from mlops_assets.components.catalog import read_catalog

    catalog = read_catalog(defs_folder(defs))
    if model in catalog.models:
        return catalog.rollout_of(catalog.models[model].spec)
    if catalog.findings:
        raise UnreadableSteps(model, str(catalog.findings[0]))
    return None
