"""The contract of a registry, over every implementation."""

import subprocess
import sys

import pytest

from mlops_assets.registry.registry import MlflowRegistry, VersionNotFound


def _register(registry, candidate_id, name="delay"):
    return registry.register(
        name,
        candidate_id=candidate_id,
        run_id=candidate_id,
        artifact_uri=f"/models/{candidate_id}",
        tags={"data": "d1"},
    )


def test_versions_count_from_one(registry):
    first, second = _register(registry, "a"), _register(registry, "b")
    assert (first.version, second.version) == (1, 2)
    assert registry.versions("delay") == [first, second]
    assert (first.candidate_id, first.artifact_uri, first.tags["data"]) == ("a", "/models/a", "d1")


def test_registering_again_changes_nothing(registry):
    first = _register(registry, "a")
    _register(registry, "b")
    assert _register(registry, "a") == first
    assert len(registry.versions("delay")) == 2


def test_names_are_apart(registry):
    assert _register(registry, "a", "delay").version == _register(registry, "a", "fare").version == 1


def test_an_empty_registry(registry):
    assert registry.versions("delay") == []
    assert registry.by_alias("delay", "champion") is None
    with pytest.raises(VersionNotFound, match="found versions none"):
        registry.get("delay", 1)


def test_a_version_is_found_by_number(registry):
    version = _register(registry, "a")
    assert registry.get("delay", 1) == version
    with pytest.raises(VersionNotFound, match="version 2: found versions 1"):
        registry.get("delay", 2)


def test_an_alias_points_to_one_version_and_moves(registry):
    first, second = _register(registry, "a"), _register(registry, "b")
    registry.set_alias("delay", "champion", 1)
    assert registry.by_alias("delay", "champion") == first
    registry.set_alias("delay", "champion", 2)
    assert registry.by_alias("delay", "champion") == second
    assert registry.by_alias("delay", "challenger") is None
    with pytest.raises(VersionNotFound):
        registry.set_alias("delay", "champion", 3)


def test_an_alias_can_point_to_nothing_again(registry):
    _register(registry, "a")
    registry.drop_alias("delay", "previous")
    registry.set_alias("delay", "previous", 1)
    registry.drop_alias("delay", "previous")
    assert registry.by_alias("delay", "previous") is None


def test_tags_are_set_beside_those_that_are_there(registry):
    _register(registry, "a")
    registry.set_tags("delay", 1, {"mlops/status": "pending"})
    registry.set_tags("delay", 1, {"mlops/status": "approved", "mlops/decided_by": "ann"})
    tags = registry.get("delay", 1).tags
    assert (tags["mlops/status"], tags["mlops/decided_by"], tags["data"]) == ("approved", "ann", "d1")


def test_a_laptop_does_not_see_or_touch_another_environment(database):
    laptop, production = MlflowRegistry(database, "laptop"), MlflowRegistry(database, "production")
    _register(production, "a", "apart")
    production.set_alias("apart", "champion", 1)
    assert laptop.versions("apart") == []
    assert laptop.by_alias("apart", "champion") is None


def test_many_versions_are_all_listed(mlflow_registry):
    for i in range(12):
        _register(mlflow_registry, f"c{i}")
    assert [version.version for version in mlflow_registry.versions("delay")] == list(range(1, 13))


TWIN = """
import pathlib, sys, time
from mlops_assets.registry.registry import MlflowRegistry
registry, folder = MlflowRegistry(sys.argv[1], "twins"), pathlib.Path(sys.argv[2])
registry.versions("delay")
(folder / sys.argv[3]).touch()
while len(list(folder.iterdir())) < 2:
    time.sleep(0.005)
found = [registry.register("delay", candidate_id=f"c{i}", run_id=f"c{i}", artifact_uri="/m", tags={}).version for i in range(8)]
print(found)
"""


@pytest.mark.slow
def test_twins_that_register_the_same_candidates_agree(database, tmp_path):
    MlflowRegistry(database, "twins").versions("delay")
    twins = [
        subprocess.Popen([sys.executable, "-c", TWIN, database, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    outputs = [twin.communicate(timeout=120)[0] for twin in twins]
    assert outputs[0] == outputs[1] != ""
    versions = MlflowRegistry(database, "twins").versions("delay")
    assert sorted(version.candidate_id for version in versions) == [f"c{i}" for i in range(8)]
