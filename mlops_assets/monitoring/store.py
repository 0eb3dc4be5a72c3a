"""What monitoring keeps in the lake: one small object per model and window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from mlops_assets.decoding import decoder
from mlops_assets.errors import MlopsError
from mlops_assets.lake.files import exists, list_files, read_bytes, write_bytes
from mlops_assets.lake.uris import join
from mlops_assets.monitoring.drift import DriftReport
from mlops_assets.stats.profile import Profile

Kept = TypeVar("Kept")


class WindowNotProfiled(MlopsError):
    """A window has no profile yet."""

    def __init__(self, model: str, window: str) -> None:
        super().__init__(
            f"{model}: drift of window {window}",
            found="no profile of the window",
            required="`profile` materialised for it",
            remedy=f"Run `{model}_monitor` for this partition.",
        )


@dataclass(frozen=True)
class WindowProfile:
    """The profile of a scored window, and the version whose bins and scores it holds."""

    profile: Profile
    version: int
    artifact_uri: str
    schema_version: int = 1


@dataclass(frozen=True)
class MonitoringStore:
    """The monitoring objects of one model.

    Attributes:
        lake: Root of the lake.
        model: Name of the model.
    """

    lake: str
    model: str

    def uri(self, kind: str, window: str, suffix: str = "json") -> str:
        """Return where the object of a window is; `kind` is profiles, drift, quality or reports."""
        return join(self.lake, kind, self.model, f"{window}.{suffix}")

    def write(self, kind: str, window: str, value: object) -> str:
        """Write an object and return where it is."""
        uri = self.uri(kind, window)
        write_bytes(uri, msgspec.json.encode(value, order="deterministic"))
        return uri

    def profile(self, window: str) -> WindowProfile:
        """Return the profile of a window.

        Raises:
            WindowNotProfiled: There is none.
        """
        uri = self.uri("profiles", window)
        if not exists(uri):
            raise WindowNotProfiled(self.model, window)
        return decoder(WindowProfile).decode(read_bytes(uri))

    def profiles(self) -> dict[str, WindowProfile]:
        """Return the profiles of all windows, oldest first."""
        return self._all("profiles", WindowProfile)

    def drift_reports(self) -> dict[str, DriftReport]:
        """Return the drift of all windows, oldest first."""
        return self._all("drift", DriftReport)

    def _all(self, kind: str, of: type[Kept]) -> dict[str, Kept]:
        files = list_files(join(self.lake, kind, self.model))
        return {uri.rsplit("/", 1)[-1].removesuffix(".json"): decoder(of).decode(read_bytes(uri)) for uri in files}
