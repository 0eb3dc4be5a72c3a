"""Why traffic cannot move, or did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from datetime import datetime


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
