"""Why traffic cannot move, or did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mlops_assets.rollout.state import Phase, Rollout


class NotRouted(MlopsError):
    """No version answered at that time."""

    def __init__(self, model: str, at: datetime, since: datetime | None) -> None:
        found = f"the first version routed at {since.isoformat()}" if since else "no version routed yet"
        super().__init__(
            f"{model}: version that answered at {at.isoformat()}",
            found=found,
            required="a version routed at or before that time",
            remedy=f"Choose a later window, or materialise `{model}/deployment` first.",
        )


class NoPreviousVersion(MlopsError):
    """There is nothing to go back to."""

    def __init__(self, model: str, version: int) -> None:
        super().__init__(
            f"{model}: going back from version {version}",
            found="no previous version in the routing",
            required="one that answered before it",
            remedy=f"Run `mlops promote {model} VERSION` with the version that you want.",
        )


class UnknownRoutingSchema(MlopsError):
    """The routing object was written by another release."""

    def __init__(self, model: str, found: object, required: int) -> None:
        super().__init__(
            f"state routing/{model}",
            found=f"schema_version {found}",
            required=f"schema_version == {required}",
            remedy="Use the release of mlops_assets that wrote it, or newer.",
        )


class ServerRefused(MlopsError):
    """A running server could not load the new version; traffic went back."""

    def __init__(self, model: str, url: str, error: str) -> None:
        super().__init__(
            f"{model}: the version routed now, on {url}",
            found=error,
            required="a version that every running server loads",
            remedy="The former version answers on. Mend the artefact, or retrain.",
        )


class RolloutOver(MlopsError):
    """The rollout has ended, and an ended one never changes."""

    def __init__(self, rollout: Rollout) -> None:
        last = rollout.actions[-1]
        super().__init__(
            f"rollout {rollout.id}",
            found=f"it was {rollout.phase.replace('_', ' ')} at {last.at.isoformat()}: {last.why}",
            required="a rollout that is under way",
            remedy="`mlops rollout status` shows the newest one; `mlops promote` and `mlops rollback` move traffic now.",
        )


class NotPossibleNow(MlopsError):
    """The rollout is in a phase in which this means nothing."""

    def __init__(self, rollout: Rollout, action: str, phases: Sequence[Phase]) -> None:
        remedies = {
            "running": "Wait for its next judgement, pause it, abort it, or promote it with --full.",
            "paused": "Resume it, promote it to the next step, or abort it.",
            "waiting": "Promote it to the next step, or abort it.",
            "holding": "Wait until it has held, end that with promote --full, or abort it.",
        }
        super().__init__(
            f"rollout {rollout.id}: {action}",
            found=f"phase {rollout.phase}",
            required=f"phase {' or '.join(phases)}",
            remedy=remedies[rollout.phase],
        )


class RolloutFrozen(MlopsError):
    """A freeze window of the plan: nothing goes forward."""

    def __init__(self, rollout_id: str, until: datetime) -> None:
        super().__init__(
            f"rollout {rollout_id}: going forward",
            found=f"a freeze until {until.isoformat()}",
            required="a time outside of `rollout.freeze`",
            remedy="Wait until then; going back is allowed at any time.",
        )


class NoRollout(MlopsError):
    """The model never had a rollout."""

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model}: its rollout",
            found="none, ever",
            required="a rollout that is under way",
            remedy=f"`{model}/deployment` or `mlops rollout start {model} VERSION` begins one where the file has `rollout:`.",
        )
