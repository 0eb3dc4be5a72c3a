"""What is known about a model's newest experiment: its plan, its looks, what was done, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.decoding import converted
from mlops_assets.experiment.errors import UnknownExperimentSchema
from mlops_assets.experiment.plan import Plan
from mlops_assets.rollout.state import Action, Route, Traffic

if TYPE_CHECKING:
    from mlops_assets.experiment.spec import ExperimentSpec
    from mlops_assets.lake.state import StateStore
    from mlops_assets.rollout.spec import RolloutSpec

Phase = Literal["running", "stopped", "concluded", "expired"]
Outcome = Literal["win", "loss", "no_difference", "invalid", "breach", "not_yet"]
SCHEMA_VERSION = 1
PREFIX = "experiments/"


@dataclass(frozen=True)
class Comparison:
    """The primary metric of both arms.

    Attributes:
        champion: Mean over its units; with CUPED of what is left when the past is taken out.
        difference: Challenger minus champion, with the interval of the experiment's alpha.
        reduction: Share of the variance that CUPED took out; None without it.
    """

    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    p: float
    reduction: float | None = None


@dataclass(frozen=True)
class GuardrailLook:
    """One guardrail at one look.

    Attributes:
        value: How much worse the challenger is; None without data, or where it would show the primary metric too early.
        p: That it is not worse than `limit`, over all looks so far.
    """

    name: str
    value: float | None
    limit: float
    p: float
    is_breached: bool
    said: str


@dataclass(frozen=True)
class Look:
    """What was seen at one time.

    Attributes:
        units: Distinct units that were assigned, to the champion and to the challenger.
        outcomes: Those of them that have an outcome.
        ratio_p: That the units fell to the arms as planned; None of too few.
        primary: None before it may be seen.
        is_final: The experiment ends with it.
    """

    at: datetime
    units: tuple[int, int]
    outcomes: tuple[int, int]
    ratio_p: float | None
    primary: Comparison | None
    guardrails: tuple[GuardrailLook, ...]
    verdict: Outcome
    said: tuple[str, ...]
    is_final: bool


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        id: `<model>-ab-<version>-<number>`; `number` counts the experiments of the model.
        spec: The `ExperimentSpec` that it was started with, `unit` written out, as `model_dump(mode="json")` gives it.
        rollout: The `RolloutSpec` of the model's file at that time, likewise; None: it had no steps.
        looks: The newest look of each day.
    """

    id: str
    number: int
    model: str
    hypothesis: str
    spec: dict[str, Any]
    plan: Plan
    champion: Route
    challenger: Route
    started_at: datetime
    phase: Phase = "running"
    looks: tuple[Look, ...] = ()
    actions: tuple[Action, ...] = ()
    ended_at: datetime | None = None
    rollout: dict[str, Any] | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def is_running(self) -> bool:
        return self.phase == "running"

    @property
    def is_won(self) -> bool:
        return not self.is_running and bool(self.looks) and self.looks[-1].is_final and self.looks[-1].verdict == "win"

    @property
    def ends_by(self) -> datetime:
        return self.started_at + timedelta(days=self.asked.maximum_days)

    @property
    def label(self) -> str:
        """Return the label of its traffic, by which the log is read."""
        return f"{self.id}/0"

    @property
    def asked(self) -> ExperimentSpec:
        """Return what its file said when it was started."""
        from mlops_assets.experiment.spec import ExperimentSpec

        return ExperimentSpec.model_validate(self.spec)

    @property
    def remaining(self) -> RolloutSpec | None:
        """Return the way that a winner has before it: the steps above its share, for the same units; None without steps."""
        from mlops_assets.rollout.spec import RolloutSpec

        if self.rollout is None:
            return None
        spec = RolloutSpec.model_validate(self.rollout)
        steps = [step for step in spec.steps if step.percent / 100 > self.asked.share]
        return spec.model_copy(update={"steps": steps, "assign_by": list(self.unit)})

    @property
    def unit(self) -> tuple[str, ...]:
        """Return the columns of a request that name the unit."""
        return tuple(self.asked.unit)

    @property
    def traffic(self) -> Traffic:
        """Return what the challenger gets while it runs."""
        spec = self.asked
        limits = (spec.fast_fail.error_share, spec.fast_fail.window_requests)
        return Traffic(self.challenger, self.label, spec.share, salt_of(self.id), self.unit, fast_fail=limits)


def salt_of(experiment_id: str) -> str:
    """Return the salt of an experiment: no other experiment or rollout has it, however long the names are.

    >>> len(salt_of("returns-ab-7-1"))
    32
    """
    return blake2b(b"experiment " + experiment_id.encode(), digest_size=16).hexdigest()


def with_look(experiment: Experiment, look: Look) -> Experiment:
    """Add a look; it replaces that of the same day, whose p-values it carries on."""
    kept = tuple(one for one in experiment.looks if one.at.date() != look.at.date())
    return replace(experiment, looks=(*kept, look))


def experiment_key(model: str) -> str:
    """Return the key of a model's experiment in the state store."""
    return f"{PREFIX}{model}"


def read_experiment(state: StateStore, model: str) -> Experiment | None:
    """Return the newest experiment of a model.

    Raises:
        UnknownExperimentSchema: Another release wrote the object.
    """
    stored = state.read(experiment_key(model))
    return None if stored is None else decoded(model, stored[0])


def decoded(model: str, value: dict[str, Any]) -> Experiment:
    """Return a stored experiment.

    Raises:
        UnknownExperimentSchema: Another release wrote the object.
    """
    if value.get("schema_version") != SCHEMA_VERSION:
        raise UnknownExperimentSchema(model, value.get("schema_version"), SCHEMA_VERSION)
    return converted(value, Experiment)
