"""The registry in memory, and the suite's two implementations."""

from dataclasses import replace

import pytest

from mlops_assets.lake.state import LocalState
from mlops_assets.registry.registry import MlflowRegistry, ModelVersion, VersionNotFound


class MemoryRegistry:
    """A registry for tests of what is built on one."""

    def __init__(self):
        self._versions, self._aliases = {}, {}

    def register(self, name, *, candidate_id, run_id, artifact_uri, tags):
        versions = self._versions.setdefault(name, [])
        for version in versions:
            if version.candidate_id == candidate_id:
                return version
        tags = {**tags, "mlops/candidate": candidate_id}
        versions.append(ModelVersion(name, len(versions) + 1, candidate_id, artifact_uri, tags, run_id))
        return versions[-1]

    def get(self, name, version):
        for known in self.versions(name):
            if known.version == version:
                return known
        raise VersionNotFound(name, version, [known.version for known in self.versions(name)])

    def by_alias(self, name, alias):
        version = self._aliases.get((name, alias))
        return None if version is None else self.get(name, version)

    def set_alias(self, name, alias, version):
        self._aliases[name, alias] = self.get(name, version).version

    def drop_alias(self, name, alias):
        self._aliases.pop((name, alias), None)

    def set_tags(self, name, version, tags):
        known = self.get(name, version)
        self._versions[name][version - 1] = replace(known, tags={**known.tags, **tags})

    def versions(self, name):
        return list(self._versions.get(name, []))


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """One database for the session: creating its tables costs a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"


@pytest.fixture
def mlflow_registry(database, request):
    return MlflowRegistry(database, f"env_{abs(hash(request.node.name))}")


@pytest.fixture
def state(tmp_path):
    return LocalState(str(tmp_path / "state"))


@pytest.fixture
def memory_registry():
    return MemoryRegistry()


@pytest.fixture(params=["mlflow", "memory"])
def registry(request):
    return request.getfixturevalue(f"{request.param}_registry")
