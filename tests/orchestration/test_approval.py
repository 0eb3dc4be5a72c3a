"""A version that waits for a person: nothing is routed, nothing fails, and the event that asked for it stays open."""

import pytest
from shop.deployment import JOB, Shop, error_of, value

from mlops_assets.lake.state import open_state
from mlops_assets.registry.lifecycle import cards
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


def test_a_registered_version_waits_without_failing_the_run(careful: Shop) -> None:
    result = careful.replay.run(JOB)

    state = open_state(careful.lake)
    assert read_routing(state, "returns") is None
    assert [card.status for card in cards(state, "returns")] == ["pending"]
    assert value(result, "registered_version", "status") == "pending"
    assert not [e for e in result.get_asset_materialization_events() if e.asset_key.path[-1] == "deployment"]
    (seen,) = result.get_asset_observation_events()
    assert "mlops approve returns 1" in seen.asset_observation_data.asset_observation.description
    tags = careful.replay.instance.get_run_by_id(result.run_id).tags
    assert (tags["mlops/verdict"], tags["mlops/version"]) == ("waiting", "1")
