"""The share of an experiment in the routing: given once, and taken away or made whole at its end, each in one swap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError
from mlops_assets.experiment.errors import CannotStart
from mlops_assets.registry.integrity import verify_files
from mlops_assets.registry.lifecycle import read_card
from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.routing import read_routing
from mlops_assets.rollout.state import Action
from mlops_assets.rollout.traffic import change_routing, require_routable, with_all_traffic
from mlops_assets.rollout.turns import on_its_way

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.experiment.state import Experiment
    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.routing import Routing


def place(state: StateStore, experiment: Experiment, *, now: datetime) -> Routing:
    """Give the challenger its share; once, whatever happens to it afterwards.

    Raises:
        CannotStart: A rollout or something else has the traffic.
        NotRouted: The model was never deployed.
        NotDeployable: The version waits for approval or was rejected.
    """

    def change(routing: Routing | None) -> Routing:
        if routing is None:
            raise NotRouted(experiment.model, now, None)
        if was_placed(routing, experiment):
            return routing
        require_routable(state, experiment.model, experiment.challenger, routing)
        require_free(routing, experiment.challenger.version)
        if routing.champion != experiment.champion:
            raise _cannot(
                experiment, f"champion {routing.champion.version} since", "Start it again against this champion."
            )
        return replace(routing, challenger=experiment.traffic)

    reason = f"experiment {experiment.id}: {experiment.hypothesis}"
    who = experiment.actions[0].who if experiment.actions else ""
    return change_routing(state, experiment.model, change, now=now, reason=reason, who=who)


def require_free(routing: Routing, version: int) -> None:
    """Let an experiment pass if nothing else moves the traffic of the model.

    Raises:
        CannotStart: The version is the champion, or a rollout or an experiment is under way.
    """
    rollout, model = routing.rollout, routing.model
    if routing.champion.version == version:
        raise CannotStart(model, version, found="it is the champion", remedy="Choose another version: `mlops models`.")
    if rollout is not None and rollout.is_active:
        found = f"rollout {rollout.id}, {rollout.phase}"
        raise CannotStart(
            model, version, found=found, remedy=f"Wait for its end, or run `mlops rollout abort {model}`."
        )
    if routing.challenger is not None:
        found = f"version {routing.challenger.route.version} in traffic as {routing.challenger.label}"
        raise CannotStart(
            model, version, found=found, remedy=f"Run `mlops experiment stop {model} --reason TEXT` first."
        )


def take_out(state: StateStore, experiment: Experiment, *, now: datetime) -> None:
    """Take an experiment that has ended out of the traffic: its challenger goes, or goes on if it won and may.

    Nothing changes where it is out already.
    """
    stored = read_routing(state, experiment.model)
    if stored is None or not has_traffic(stored[0], experiment):
        return
    goes_on, why = _goes_on(state, experiment)

    def change(routing: Routing | None) -> Routing:
        assert routing is not None  # a routing is never removed
        if not has_traffic(routing, experiment):
            return routing
        out = replace(routing, challenger=None)
        return _going_on(out, experiment, now=now, why=why) if goes_on else out

    change_routing(state, experiment.model, change, now=now, reason=why, who=experiment.actions[-1].who)


def has_traffic(routing: Routing, experiment: Experiment) -> bool:
    """Tell whether the challenger of an experiment is in traffic."""
    return routing.challenger is not None and routing.challenger.label == experiment.label


def was_placed(routing: Routing, experiment: Experiment) -> bool:
    """Tell whether the challenger of an experiment ever was in traffic."""
    return any(entry.challenger is not None and entry.challenger.label == experiment.label for entry in routing.history)


def whoever_took_out(routing: Routing, experiment: Experiment) -> Action:
    """Return, as the history tells it, who took the challenger out of the traffic and why."""
    labels = [entry.challenger.label if entry.challenger else None for entry in routing.history]
    entry = routing.history[len(labels) - labels[::-1].index(experiment.label)]
    return Action("stopped", entry.who, entry.at, f"its traffic was taken: {entry.reason}")


def _going_on(routing: Routing, experiment: Experiment, *, now: datetime, why: str) -> Routing:
    """Let a winner begin the steps above its share, or wait for them; without steps it takes all traffic at once.

    Its units keep it, by the salt of the experiment. Another version that waits already keeps its place.
    """
    winner, spec, waits = experiment.challenger, experiment.remaining, routing.queued
    if spec is None:
        return with_all_traffic(routing, experiment.model, winner, now=now, reason=why, who="")
    after = on_its_way(routing, winner, spec, now=now, reason=why, who="", salt=experiment.traffic.salt)
    return after if waits is None or waits.route == winner else replace(after, queued=waits)


def _goes_on(state: StateStore, experiment: Experiment) -> tuple[bool, str]:
    """Tell whether the challenger is to become the champion, and what the history says of the end."""
    last = experiment.actions[-1]
    why = f"experiment {experiment.id}: {last.what}: {last.why}"
    if not (experiment.is_won and experiment.asked.on_win == "promote"):
        return False, why
    card = read_card(state, experiment.model, experiment.challenger.version)
    try:
        require_routable(state, experiment.model, experiment.challenger, None)
        if card is not None:
            verify_files(card.artifact_uri, card.sha256)
    except MlopsError as error:
        return False, f"{why} Not promoted: {error}"
    return True, why


def _cannot(experiment: Experiment, found: str, remedy: str) -> CannotStart:
    return CannotStart(experiment.model, experiment.challenger.version, found=found, remedy=remedy)
