"""How an experiment begins, is looked at and ends, and how the traffic follows.

Its state is written first, the routing second. Whoever is killed in between leaves a state that says what the traffic should
be; `settle` makes it so, and every command and run calls it first. An experiment whose challenger was in traffic once and is
not any more was ended by somebody else: a person, the server itself, another deployment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.errors import MlopsError
from mlops_assets.experiment.errors import NoExperiment
from mlops_assets.experiment.placement import has_traffic, place, take_out, was_placed, whoever_took_out
from mlops_assets.experiment.state import Experiment, decoded, experiment_key, read_experiment, with_look
from mlops_assets.rollout.routing import read_routing
from mlops_assets.rollout.state import Action

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mlops_assets.experiment.state import Look, Phase
    from mlops_assets.lake.state import StateStore


def begin(
    state: StateStore, new: Callable[[Experiment | None], Experiment], model: str, *, now: datetime
) -> Experiment:
    """Write a new experiment and give its challenger its share, once the one before is settled; return it.

    Args:
        new: Makes it from the one before, or returns that one if it is the same and was left half begun; may be called
            several times.

    Raises:
        CannotStart: Something stands in its way.
    """
    from mlops_assets.lake.state import update

    def change(stored: dict[str, Any] | None) -> dict[str, Any]:
        before = None if stored is None else decoded(model, stored)
        after = new(before)
        return stored if stored is not None and after == before else msgspec.to_builtins(after)

    begun = decoded(model, update(state, experiment_key(model), change)[0])
    try:
        place(state, begun, now=now)
    except MlopsError as error:
        _end(state, begun, "stopped", Action("stopped", "", now, f"it never began: {error}"))
        raise
    return settle(state, model, now=now) or begun


def settle(state: StateStore, model: str, *, now: datetime) -> Experiment | None:
    """Let the traffic follow the newest experiment, or the experiment whoever moved the traffic; return it.

    Calling it again changes nothing.
    """
    experiment = read_experiment(state, model)
    if experiment is None:
        return None
    if experiment.is_running:
        experiment = _followed(state, experiment, now=now)
    if not experiment.is_running:
        take_out(state, experiment, now=now)
    return experiment


def note(state: StateStore, experiment: Experiment, look: Look, *, now: datetime) -> Experiment:
    """Keep a look, and end the experiment if it is final; return it with the traffic settled."""

    def change(current: Experiment) -> Experiment:
        seen = with_look(current, look)
        if not look.is_final:
            return seen
        action = Action(look.verdict, "", now, " ".join(look.said))
        return replace(seen, phase=_phase(current, look, now), ended_at=now, actions=(*seen.actions, action))

    _changed(state, experiment, change)
    return settle(state, experiment.model, now=now) or experiment


def stop(state: StateStore, model: str, *, who: str, why: str, now: datetime) -> Experiment:
    """End the experiment that runs without a verdict; return it.

    Raises:
        NoExperiment: None runs.
    """
    experiment = settle(state, model, now=now)
    if experiment is None or not experiment.is_running:
        raise NoExperiment(model, f"{experiment.id}, {experiment.phase}" if experiment else "none, ever")
    _end(state, experiment, "stopped", Action("stopped", who, now, why))
    return settle(state, model, now=now) or experiment


def _followed(state: StateStore, experiment: Experiment, *, now: datetime) -> Experiment:
    """Finish a beginning that was cut off, or note who ended it from outside."""
    stored = read_routing(state, experiment.model)
    if stored is not None and was_placed(stored[0], experiment):
        if has_traffic(stored[0], experiment):
            return experiment
        return _end(state, experiment, "stopped", whoever_took_out(stored[0], experiment))
    try:
        place(state, experiment, now=now)
    except MlopsError as error:
        return _end(state, experiment, "stopped", Action("stopped", "", now, f"it never began: {error}"))
    return read_experiment(state, experiment.model) or experiment  # it may have been stopped at that moment


def _phase(experiment: Experiment, look: Look, now: datetime) -> Phase:
    if look.verdict == "breach":
        return "stopped"
    return "expired" if look.verdict in {"no_difference", "invalid"} and now >= experiment.ends_by else "concluded"


def _end(state: StateStore, experiment: Experiment, phase: Phase, action: Action) -> Experiment:
    return _changed(
        state,
        experiment,
        lambda one: replace(one, phase=phase, ended_at=action.at, actions=(*one.actions, action)),
    )


def _changed(state: StateStore, experiment: Experiment, change: Callable[[Experiment], Experiment]) -> Experiment:
    """Change an experiment while it runs; one that ended meanwhile, or another one, is left as it is."""
    from mlops_assets.lake.state import update

    def change_stored(stored: dict[str, Any] | None) -> dict[str, Any]:
        assert stored is not None  # experiments are never removed
        current = decoded(experiment.model, stored)
        if current.id != experiment.id or not current.is_running:
            return stored
        return msgspec.to_builtins(change(current))

    return decoded(experiment.model, update(state, experiment_key(experiment.model), change_stored)[0])
