"""A version that waits for a person: nothing is routed, nothing fails, and the event that asked for it stays open."""

from pathlib import Path

import dagster as dg
import pytest
from shop.deployment import JOB, Shop, error_of, value

from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import cards
from mlops_assets.retraining.events import Event, EventLog, new_event
from mlops_assets.rollout.routing import read_routing

pytestmark = pytest.mark.slow


@pytest.fixture
def careful(shop: Shop) -> Shop:
    """Return the shop with a model whose versions a person approves, ready to be trained."""
    file = shop.defs / "returns" / "defs.yaml"
    file.write_text(f"{file.read_text()}  approval: manual\n")
    shop.reload()
    shop.prepare()
    return shop


def decide(shop: Shop, **config: object) -> dg.ExecuteInProcessResult:
    """Run the job that a person starts in the Launchpad."""
    job = shop.replay.definitions.resolve_job_def("returns_decide")
    given = {"by": "ann", "reason": "looks right", **config}
    ops = {"returns_decision": {"config": given}}
    return job.execute_in_process(run_config={"ops": ops}, instance=shop.replay.instance, raise_on_error=False)


def open_event(shop: Shop) -> Event:
    now = shop.replay.clock.now()
    event = new_event(
        "returns", version=1, kind="drift", window="w", subject="a", reasons=("moved",), evidence={}, now=now
    )
    EventLog(open_state(shop.lake)).open_event(event)
    return event


def stored(shop: Shop, event: Event) -> Event:
    (found,) = EventLog(open_state(shop.lake)).history("returns")
    assert found.id == event.id
    return found


def test_a_version_waits_without_failing_the_run_and_a_damaged_one_is_not_routed(careful: Shop) -> None:
    result = careful.replay.run(JOB)

    state = open_state(careful.lake)
    assert read_routing(state, "returns") is None
    assert [card.status for card in cards(state, "returns")] == ["pending"]
    assert value(result, "registered_version", "status") == "pending"
    (card,) = cards(state, "returns")
    facts = (
        "training_set",
        "training_set_uri",
        "as_of",
        "commit",
        "lock_sha256",
        "spec_sha256",
        "dagster_run",
        "verdict",
    )
    hashes = ("evaluated_at", "candidate_sha256", "sha256", "definition/spine", "definition/view/customer")
    tables = ("table/raw/shop/orders", "table/features/customer")
    assert {f"mlops/{name}" for name in (*facts, *hashes, *tables)} <= card.lineage.keys()
    assert card.lineage["mlops/dagster_run"] == result.run_id
    assert not [e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == "deployment"]
    (seen,) = result.get_asset_observation_events()
    assert "mlops approve returns 1" in seen.asset_observation_data.asset_observation.description
    tags = careful.replay.instance.get_run_by_id(result.run_id).tags
    assert (tags["mlops/verdict"], tags["mlops/version"]) == ("waiting", "1")

    (Path(str(value(result, "registered_version", "artifact"))) / "golden.json").write_text("{}")
    approved = decide(careful, version=1, decision="approve")
    assert "file golden.json: found sha256" in error_of(approved)
    assert read_routing(state, "returns") is None


def test_an_event_waits_with_its_version_and_ends_with_the_decision(careful: Shop) -> None:
    event = open_event(careful)
    (run,) = careful.replay.tick("retraining")
    assert run.success
    assert careful.replay.tick("retraining") == []
    assert stored(careful, event).is_open

    approved = decide(careful, version=1, decision="approve")

    (shown,) = approved.get_asset_materialization_events()
    assert shown.asset_key.path == ["returns", "deployment"]
    routing, _ = read_routing(open_state(careful.lake), "returns")
    entry = routing.history[-1]
    assert (routing.champion.version, entry.who, entry.reason) == (1, "ann", "looks right")
    again = decide(careful, version=1, decision="approve")
    assert (again.success, again.get_asset_materialization_events()) == (True, [])
    assert careful.replay.tick("retraining") == []
    assert stored(careful, event).verdict == "promoted"
    assert not careful.materialize("deployment").get_asset_observation_events()  # approved: nobody is asked again


def test_a_rejected_version_is_deployed_by_no_run_and_ends_its_event(careful: Shop) -> None:
    event = open_event(careful)
    careful.replay.tick("retraining")

    assert decide(careful, version=1, decision="reject").success
    alone = careful.materialize("deployment")
    late = decide(careful, version=1, decision="approve")
    careful.replay.tick("retraining")

    assert not alone.success
    assert "version 1 cannot be deployed: found rejected by ann" in error_of(alone)
    assert not late.success
    assert "version 1 cannot be approved: found rejected by ann" in error_of(late)
    assert read_routing(open_state(careful.lake), "returns") is None
    assert stored(careful, event).verdict == "rejected"
