"""Versions of models and their aliases, behind one protocol, kept by MLflow.

Keep out: whether a version deserves to be there (`register`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from mlops_assets.errors import MlopsError
from mlops_assets.training.mlflow_client import open_client
from mlops_assets.training.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

Alias = Literal["challenger", "champion", "previous"]
CANDIDATE_TAG = "mlops/candidate"
TAKEN = ("IntegrityError", "UniqueViolation")  # of sqlite and PostgreSQL, in the text of MLflow's error


@dataclass(frozen=True)
class ModelVersion:
    """A registered model.

    Attributes:
        version: Counts from 1 within a name.
        candidate_id: The candidate that it was.
        artifact_uri: Where the saved model is (`predictor.artifact.load`).
        tags: Its lineage.
        run_id: The run that holds its files: the candidate's own, or that of a copy.
    """

    name: str
    version: int
    candidate_id: str
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    run_id: str = ""


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

    def register(
        self, name: str, *, candidate_id: str, run_id: str, artifact_uri: str, tags: Mapping[str, str]
    ) -> ModelVersion:
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

    def drop_alias(self, name: str, alias: Alias) -> None:
        """Let the alias point to nothing; one that does not exist is no mistake."""
        ...

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version; its others stay."""
        ...

    def versions(self, name: str) -> list[ModelVersion]:
        """Return all versions, oldest first."""
        ...


@dataclass(frozen=True)
class MlflowRegistry:
    """The registry in MLflow. A name there carries the environment, so a laptop cannot write `prod` by accident."""

    tracking_uri: str
    env: str
    patience_s: float = PATIENCE_S

    def register(
        self, name: str, *, candidate_id: str, run_id: str, artifact_uri: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        known = self._of_candidate(name, candidate_id)
        if known:
            return known[0]
        client = self._client()
        self._ensure_model(client, name)
        ours = client.create_model_version(
            self._full(name), source=artifact_uri, run_id=run_id, tags={**tags, CANDIDATE_TAG: candidate_id}
        )
        first = self._of_candidate(name, candidate_id)[0]
        if first.version != int(ours.version):  # a twin was faster: its version stays, ours goes
            client.delete_model_version(self._full(name), str(ours.version))
        return first

    def get(self, name: str, version: int) -> ModelVersion:
        versions = self.versions(name)
        found = next((known for known in versions if known.version == version), None)
        if found is None:
            raise VersionNotFound(name, version, [known.version for known in versions])
        return found

    def by_alias(self, name: str, alias: Alias) -> ModelVersion | None:
        client = self._client()
        from mlflow.exceptions import MlflowException

        try:
            return _version(name, client.get_model_version_by_alias(self._full(name), alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def set_alias(self, name: str, alias: Alias, version: int) -> None:
        self.get(name, version)
        client = self._client()
        _beside_twins(lambda: client.set_registered_model_alias(self._full(name), alias, str(version)))

    def drop_alias(self, name: str, alias: Alias) -> None:
        if self.by_alias(name, alias) is not None:
            self._client().delete_registered_model_alias(self._full(name), alias)

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        client = self._client()
        for key, value in tags.items():
            _beside_twins(partial(client.set_model_version_tag, self._full(name), str(version), key, value))

    def versions(self, name: str) -> list[ModelVersion]:
        client, found, token = self._client(), [], None
        while True:
            page = client.search_model_versions(f"name='{self._full(name)}'", page_token=token)
            found += [_version(name, version) for version in page]
            token = page.token
            if not token:
                return sorted(found, key=lambda version: version.version)

    def _of_candidate(self, name: str, candidate_id: str) -> list[ModelVersion]:
        return [version for version in self.versions(name) if version.candidate_id == candidate_id]

    def _ensure_model(self, client: MlflowClient, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(self._full(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _client(self) -> MlflowClient:
        return open_client(self.tracking_uri, patience_s=self.patience_s)

    def _full(self, name: str) -> str:
        return f"{self.env}.{name}"


def _beside_twins(write: Callable[[], object]) -> None:
    """Write, and once more if another process wrote the same row first: MLflow inserts without looking again."""
    from mlflow.exceptions import MlflowException

    try:
        write()
    except MlflowException as error:
        if not any(sign in str(error) for sign in TAKEN):
            raise
        write()


def _version(name: str, found: MlflowVersion) -> ModelVersion:
    tags, run_id = dict(found.tags), found.run_id or ""
    return ModelVersion(name, int(found.version), tags.get(CANDIDATE_TAG, run_id), str(found.source), tags, run_id)
