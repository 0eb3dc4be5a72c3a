"""What is known about one rollout, as it stands in the routing object."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from mlops_assets.rollout.evidence import Judged

Phase = Literal["running", "paused", "waiting", "holding", "promoted", "rolled_back", "aborted", "superseded"]
ACTIVE: tuple[Phase, ...] = ("running", "paused", "waiting", "holding")


@dataclass(frozen=True)
class Route:
    """One servable version: its number in the registry, the candidate it came from, and its artefact."""

    version: int
    candidate_id: str
    artifact_uri: str


@dataclass(frozen=True)
class Traffic:
    """What the challenger gets.

    Attributes:
        label: `<rollout or experiment id>/<step>`; the prediction log names it, so that evidence is of one step alone.
        share: Share of the units that it answers, in [0, 1].
        salt: Decides together with the unit; the same for every step, so that a ramp is nested.
        assign_by: Columns of a request that name the unit; none: each request for itself.
        is_shadow: It answers nobody, and scores what the champion answers.
        fast_fail: Share of errors above which a server takes it out, and among how many of its newest requests; None: never.
    """

    route: Route
    label: str
    share: float
    salt: str
    assign_by: tuple[str, ...] = ()
    is_shadow: bool = False
    fast_fail: tuple[float, int] | None = None


@dataclass(frozen=True)
class Look:
    """The last evidence of a step."""

    step: int
    percent: float
    since: datetime
    at: datetime
    requests: int
    judged: tuple[Judged, ...]
    looks: int = 1


@dataclass(frozen=True)
class Action:
    """Something that was done to a rollout: by a person, by the server, or by a judgement (`who` empty).

    Attributes:
        what: The phase that it led to, or what changed within one, such as `step 25 %`.
    """

    what: str
    who: str
    at: datetime
    why: str


@dataclass(frozen=True)
class Rollout:
    """One rollout.

    Attributes:
        id: `<model>-<version>-<number>`.
        plan: The `RolloutSpec` that it was started with, as `model_dump(mode="json")` gives it.
        step: Position of the current step.
        since: When the current step began.
        ticked_at: When it was last judged; evidence that is not newer changes nothing.
        ticks: How often it was judged.
        failures: Failed judgements in a row at this step.
        looks: The newest look of each step so far.
        actions: What was done, oldest first; only ever added to.
        salt: Of the experiment that it goes on from, so that nobody changes the arm; by default the id.
    """

    id: str
    plan: dict[str, Any]
    champion: Route
    challenger: Route
    phase: Phase
    step: int
    since: datetime
    started_at: datetime
    ticked_at: datetime | None = None
    ticks: int = 0
    failures: int = 0
    looks: tuple[Look, ...] = ()
    actions: tuple[Action, ...] = field(default=())
    salt: str = ""

    @property
    def is_active(self) -> bool:
        return self.phase in ACTIVE


@dataclass(frozen=True)
class Queued:
    """A version that waits for its rollout.

    Attributes:
        behind: What stands in its way, as a sentence.
    """

    route: Route
    who: str
    at: datetime
    why: str
    behind: str
