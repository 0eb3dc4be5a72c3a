"""The contract of a registry, over every implementation."""

import subprocess
import sys

import pytest

from mlops_assets.registry.register import NotRegistered, promote, version_of
from mlops_assets.registry.registry import MlflowRegistry, VersionNotFound


def _register(registry, candidate_id, name="delay"):
    return registry.register(
        name, candidate_id=candidate_id, artifact_uri=f"/models/{candidate_id}", tags={"data": "d1"}
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


def test_a_version_is_found_by_number_and_by_candidate(registry):
    version = _register(registry, "a")
    assert registry.get("delay", 1) == version == version_of(registry, "delay", candidate_id="a")
    with pytest.raises(VersionNotFound, match="version 2: found versions 1"):
        registry.get("delay", 2)
    with pytest.raises(NotRegistered, match="candidate b: found none"):
        version_of(registry, "delay", candidate_id="b")


def test_an_alias_points_to_one_version_and_moves(registry):
    first, second = _register(registry, "a"), _register(registry, "b")
    registry.set_alias("delay", "champion", 1)
    assert registry.by_alias("delay", "champion") == first
    registry.set_alias("delay", "champion", 2)
    assert registry.by_alias("delay", "champion") == second
    assert registry.by_alias("delay", "challenger") is None
    with pytest.raises(VersionNotFound):
        registry.set_alias("delay", "champion", 3)


def test_promotion_keeps_the_one_before(registry):
    first, second, third = (_register(registry, name) for name in "abc")
    assert promote(registry, "delay", 1) == first
    assert registry.by_alias("delay", "previous") is None
    promote(registry, "delay", 2)
    assert (registry.by_alias("delay", "champion"), registry.by_alias("delay", "previous")) == (second, first)
    promote(registry, "delay", 2)  # again: nothing changes
    assert registry.by_alias("delay", "previous") == first
    promote(registry, "delay", 3)
    assert (registry.by_alias("delay", "champion"), registry.by_alias("delay", "previous")) == (third, second)


def test_a_promotion_that_was_killed_half_way_can_be_repeated(registry):
    first, second = _register(registry, "a"), _register(registry, "b")
    promote(registry, "delay", 1)
    registry.set_alias("delay", "previous", 1)  # killed before the champion moved
    promote(registry, "delay", 2)
    assert (registry.by_alias("delay", "champion"), registry.by_alias("delay", "previous")) == (second, first)


def test_promoting_what_does_not_exist(registry):
    _register(registry, "a")
    promote(registry, "delay", 1)
    with pytest.raises(VersionNotFound):
        promote(registry, "delay", 9)
    assert registry.by_alias("delay", "champion").version == 1


def test_a_laptop_does_not_see_or_touch_another_environment(database):
    laptop, production = MlflowRegistry(database, "laptop"), MlflowRegistry(database, "production")
    _register(production, "a", "apart")
    promote(production, "apart", 1)
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
found = [registry.register("delay", candidate_id=f"c{i}", artifact_uri="/m", tags={}).version for i in range(8)]
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
