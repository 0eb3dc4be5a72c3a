"""`mlops experiment start` and `stop`: traffic moves first, as with `decisions.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mlops_assets.cli.decisions import open_desk, settle
from mlops_assets.cli.rollouts import rollout_spec
from mlops_assets.experiment import beginning, lifecycle
from mlops_assets.experiment.errors import NoExperimentSpec
from mlops_assets.experiment.record import write_decision
from mlops_assets.rollout.routing import read_routing

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_assets.cli.decisions import Desk
    from mlops_assets.experiment.spec import ExperimentSpec


def start(model: str, version: int, *, hypothesis: str, by: str | None, defs: Path | None) -> None:
    """Begin an experiment.

    Raises:
        MlopsError: See `experiment.beginning.start`; or a server could not load the version.
    """
    desk, spec, steps = open_desk(by), experiment_spec(model, defs), rollout_spec(model, defs)
    begun = beginning.start(
        desk.state,
        model,
        version,
        spec,
        lake=desk.settings.lake,
        rollout=steps,
        hypothesis=hypothesis,
        who=desk.who,
        now=desk.now,
    )
    who = ", ".join(begun.unit) or "each request for itself"
    typer.echo(f"{model}: experiment {begun.id} has begun: {spec.share:.0%} of the units ({who}) to version {version}.")
    for warning in begun.plan.warnings:
        typer.echo(warning)
    _settle(desk, model)


def stop(model: str, *, reason: str, by: str | None) -> None:
    """End the experiment that runs.

    Raises:
        NoExperiment: None runs.
    """
    desk = open_desk(by)
    ended = lifecycle.stop(desk.state, model, who=desk.who, why=reason, now=desk.now)
    typer.echo(f"{model}: experiment {ended.id} is stopped. Its record: {write_decision(desk.settings.lake, ended)}")
    _settle(desk, model)


def experiment_spec(model: str, defs: Path | None) -> ExperimentSpec:
    """Return what a model's file says about experiments, with `unit` written out.

    Raises:
        UnknownDefinition: No file that loads defines the model.
        NoExperimentSpec: The file says nothing about them.
    """
    from mlops_assets.cli.places import defs_folder
    from mlops_assets.components.catalog import read_catalog

    catalog = read_catalog(defs_folder(defs))
    spec = catalog.experiment_of(catalog.model(model).spec)
    if spec is None:
        raise NoExperimentSpec(model)
    return spec


def _settle(desk: Desk, model: str) -> None:
    stored = read_routing(desk.state, model)
    if stored is not None:
        settle(desk, model, stored[0].history[-1].generation)
