"""What an experiment begins with: a plan that is kept, both versions, and why somebody thinks that it is worth it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.experiment.errors import CannotStart
from mlops_assets.experiment.lifecycle import begin, settle
from mlops_assets.experiment.placement import require_free
from mlops_assets.experiment.plan import plan
from mlops_assets.experiment.record import write_decision
from mlops_assets.experiment.state import Experiment
from mlops_assets.registry.integrity import verify_files
from mlops_assets.registry.lifecycle import known_card, require_deployable
from mlops_assets.rollout.errors import NotRouted
from mlops_assets.rollout.routing import read_routing, route_of
from mlops_assets.rollout.state import Action

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_assets.experiment.spec import ExperimentSpec
    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.spec import RolloutSpec


def start(  # noqa: PLR0913  one beginning, many particulars
    state: StateStore,
    model: str,
    version: int,
    spec: ExperimentSpec,
    *,
    lake: str,
    rollout: RolloutSpec | None = None,
    hypothesis: str,
    who: str,
    now: datetime,
) -> Experiment:
    """Begin an experiment of the champion with a registered version; return it.

    Again with the same version and hypothesis, where a kill had cut it off, it is finished.

    Args:
        spec: With `unit` written out.
        lake: Where the record of the experiment before is kept, whoever ended it: the new one takes its place in the state.
        rollout: The steps of the model's file, of which a winner takes those above its share; None: it has none.

    Raises:
        NotRouted: There is no champion.
        NoSuchVersion: No such version is registered.
        NotDeployable: It waits for approval or was rejected.
        CorruptArtifact: Its saved model is not whole.
        CannotStart: It is the champion, or a rollout or an experiment is under way.
    """
    settle(state, model, now=now)
    stored, card = read_routing(state, model), known_card(state, model, version)
    if stored is None:
        raise NotRouted(model, now, None)
    require_deployable(card)
    verify_files(card.artifact_uri, card.sha256)
    champion, challenger, planned = stored[0].champion, route_of(card), plan(spec)

    def new(before: Experiment | None) -> Experiment:
        if before is not None and before.is_running:
            if (before.challenger, before.hypothesis) == (challenger, hypothesis):
                return before
            found = f"experiment {before.id} under way"
            remedy = f"Run `mlops experiment stop {model} --reason TEXT` first."
            raise CannotStart(model, version, found=found, remedy=remedy)
        require_free(stored[0], version)
        if before is not None:
            write_decision(lake, before)
        number = before.number + 1 if before else 1
        return Experiment(
            id=f"{model}-ab-{version}-{number}",
            number=number,
            model=model,
            hypothesis=hypothesis,
            spec=spec.model_dump(mode="json"),
            plan=planned,
            champion=champion,
            challenger=challenger,
            started_at=now,
            rollout=None if rollout is None else rollout.model_dump(mode="json"),
            actions=(Action("running", who, now, hypothesis),),
        )

    return begin(state, new, model, now=now)
