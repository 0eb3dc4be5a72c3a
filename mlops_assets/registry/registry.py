"""Versions of models and their aliases, behind one protocol.

Add here: what every registry can do. Keep out: whether a version deserves to be there (`register`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Alias = Literal["challenger", "champion", "previous"]


@dataclass(frozen=True)
class ModelVersion:
    """A registered model.

    Attributes:
        version: Counts from 1 within a name.
        candidate_id: The run that made it.
        artifact_uri: Where the saved model is (`predictor.artifact.load`).
        tags: Its lineage.
    """

    name: str
    version: int
    candidate_id: str
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


class VersionNotFound(MlopsError):
    """The registry has no such version."""

    def __init__(self, name: str, version: int, known: Sequence[int]) -> None:
        super().__init__(
            f"{name}: version {version}",
            found=f"versions {', '.join(map(str, known)) or 'none'}",
            required="a registered version",
            remedy=f"Choose one of these, or materialise `{name}/registered_version`.",
        )


class Registry(Protocol):
    """Where versions are kept."""

    def register(self, name: str, *, candidate_id: str, artifact_uri: str, tags: Mapping[str, str]) -> ModelVersion:
        """Return the version of this candidate, creating it the first time only."""
        ...

    def get(self, name: str, version: int) -> ModelVersion:
        """Return a version, or raise `VersionNotFound`."""
        ...

    def by_alias(self, name: str, alias: Alias) -> ModelVersion | None:
        """Return the version that the alias points to, if it points to one."""
        ...

    def set_alias(self, name: str, alias: Alias, version: int) -> None:
        """Point the alias to a version, or raise `VersionNotFound`."""
        ...

    def versions(self, name: str) -> list[ModelVersion]:
        """Return all versions, oldest first."""
        ...
