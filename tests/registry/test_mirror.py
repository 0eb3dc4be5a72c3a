"""MLflow shows what the lake says, whoever writes at the same time."""

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from services import postgres

from mlops_assets.lake.state import LocalState
from mlops_assets.registry.lifecycle import VersionCard, add_card, cards, known_card
from mlops_assets.registry.register import first_decision
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.mirror import mirror_aliases
from mlops_assets.rollout.roles import roles
from mlops_assets.rollout.routing import read_routing, route_of
from mlops_assets.rollout.traffic import give_all_traffic, restore_previous

__all__ = ["postgres"]  # the fixture
NOW = datetime(2024, 5, 1, tzinfo=UTC)


def register(registry, state, candidate, approval="auto"):
    version = registry.register("delay", candidate_id=candidate, run_id=candidate, artifact_uri="/m", tags={})
    decisions = first_decision(approval, now=NOW)
    return add_card(state, VersionCard("delay", version.version, candidate, candidate, "/m", "ab", NOW, decisions))


def route(state, version):
    give_all_traffic(state, "delay", route_of(known_card(state, "delay", version)), now=NOW, reason="")


def shown(registry):
    found = {alias: registry.by_alias("delay", alias) for alias in ("champion", "challenger", "previous")}
    return {alias: version.version for alias, version in found.items() if version}


def test_aliases_and_tags_follow_the_lake(registry, state):
    for candidate in "abc":
        register(registry, state, candidate)
    route(state, 1)
    route(state, 2)
    mirror_aliases(registry, state, "delay")
    assert shown(registry) == {"champion": 2, "previous": 1, "challenger": 3}

    restore_previous(state, "delay", now=NOW, reason="wrong", who="eve", reject=True)
    mirror_aliases(registry, state, "delay")

    assert shown(registry) == {"champion": 1, "challenger": 3}
    tags = registry.get("delay", 2).tags
    decided = [tags[f"mlops/{name}"] for name in ("status", "decided_by", "decided_at", "decided_why")]
    assert decided == ["rejected", "eve", NOW.isoformat(), "wrong"]


def test_a_version_that_waits_says_so(registry, state):
    register(registry, state, "a", approval="manual")
    mirror_aliases(registry, state, "delay")
    assert shown(registry) == {"challenger": 1}
    assert registry.get("delay", 1).tags["mlops/status"] == "pending"
    assert "mlops/decided_by" not in registry.get("delay", 1).tags


def test_a_mirror_that_was_overtaken_corrects_itself(memory_registry, state):
    for candidate in "abc":
        register(memory_registry, state, candidate)
    route(state, 1)
    real = memory_registry.set_alias

    def overtaken(name, alias, version):
        """Move the traffic, and let a rival mirror it, between our reading and our writing."""
        memory_registry.set_alias = real
        route(state, 2)
        mirror_aliases(memory_registry, state, "delay")
        real(name, alias, version)

    memory_registry.set_alias = overtaken

    mirror_aliases(memory_registry, state, "delay")

    assert shown(memory_registry) == {"champion": 2, "previous": 1, "challenger": 3}


TWIN = """
import pathlib, sys, time
from datetime import UTC, datetime
from mlops_assets.evaluation.verdict import Approved
from mlops_assets.lake.state import LocalState
from mlops_assets.registry.register import register_approved
from mlops_assets.registry.registry import MlflowRegistry
from mlops_assets.rollout.mirror import mirror_aliases
from mlops_assets.rollout.promotion import promote
uri, folder, me, sha256 = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
registry, state, now = MlflowRegistry(uri, "mirrored"), LocalState(str(folder / "state")), datetime.now(UTC)
registry.versions("delay")
(folder / "ready" / me).touch()
while len(list((folder / "ready").iterdir())) < 2:
    time.sleep(0.005)
for candidate in ("both 1", f"{me} 1", "both 2", f"{me} 2"):
    verdict = Approved(candidate_id=candidate, criteria=(), notes=(), candidate_sha256=sha256, evaluated_at=now)
    card = register_approved(
        registry, state, verdict, model="delay", artifact_uri=str(folder / "model"), lineage={}, approval="auto", now=now
    )
    promote(state, "delay", card.version, who=me, now=now, reason=candidate)
    mirror_aliases(registry, state, "delay")
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def test_two_processes_that_register_and_promote_at_once_end_in_one_state(kind, tmp_path, request):
    uri = request.getfixturevalue("postgres" if kind == "postgresql" else "database")
    registry, state = MlflowRegistry(uri, "mirrored"), LocalState(str(tmp_path / "state"))
    for folder in ("ready", "model"):
        (tmp_path / folder).mkdir()
    manifest = json.dumps({"files": {}}).encode()
    (tmp_path / "model" / "manifest.json").write_bytes(manifest)
    arguments = (uri, str(tmp_path))
    sha256 = hashlib.sha256(manifest).hexdigest()
    registry.versions("delay")

    twins = [
        subprocess.Popen([sys.executable, "-c", TWIN, *arguments, me, sha256], stderr=subprocess.PIPE, text=True)
        for me in ("one", "two")
    ]
    errors = [twin.communicate(timeout=300)[1] for twin in twins]

    assert [twin.returncode for twin in twins] == [0, 0], [error[-1500:] for error in errors]
    found = cards(state, "delay")
    expected = sorted(["both 1", "both 2", "one 1", "one 2", "two 1", "two 2"])
    assert sorted(card.candidate_id for card in found) == expected
    versions = {version.version: version.candidate_id for version in registry.versions("delay")}
    assert versions == {card.version: card.candidate_id for card in found}
    assert shown(registry) == roles(state, "delay")
    routing, _ = read_routing(state, "delay")
    assert {entry.route.candidate_id for entry in routing.history} == set(expected)
