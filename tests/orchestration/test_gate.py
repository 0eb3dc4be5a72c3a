"""Candidates that must not pass, from orders to the UI: a biased one, and one that knows the future."""

import pytest
from shop.deployment import JOB, Shop, error_of, value

from mlops_assets.lake.state import open_state
from mlops_assets.rollout.routing import read_routing

pytestmark = pytest.mark.slow

FAIR = """gate:
    floor: 0.6
    replicates: 200
    slices: [{by: channel, max_gap: 0.2}]
    fairness: [{by: channel, demographic_parity_difference: 0.1}]
    decision_threshold: 0.3"""
PAST, FUTURE = "rows 4 preceding", "rows between 4 preceding and 5 following"


def edit(shop: Shop, name: str, before: str, after: str) -> None:
    file = shop.defs / name / "defs.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    shop.reload()


def checks(result, step):
    return {
        found.check_name: found for found in result.get_asset_check_evaluations() if found.asset_key.path[-1] == step
    }


def test_a_biased_candidate_is_refused_with_the_groups_and_their_rates(shop: Shop) -> None:
    edit(shop, "returns", "gate: {floor: 0.6, replicates: 200}", FAIR)
    shop.prepare()

    result = shop.replay.run(JOB, may_fail=True)

    found = checks(result, "evaluation")
    assert not result.success
    assert set(found) == {"gate", "slices", "fairness", "serving"}, error_of(result)
    assert {name: check.passed for name, check in found.items()} == {
        "gate": False, "slices": True, "fairness": False, "serving": True,
    }  # fmt: skip
    reason = str(found["fairness"].description)
    assert "demographic_parity_difference_channel" in reason
    assert "Positive decisions: app 0." in reason
    assert found["gate"].description == reason
    assert "| app |" in str(value(result, "evaluation", "parts"))
    assert value(result, "evaluation", "verdict") == "rejected"
    assert str(value(result, "evaluation", "test_roc")).startswith("![test_roc](data:image/png")
    assert read_routing(open_state(shop.lake), "returns") is None


def test_a_feature_that_knows_the_future_is_stopped_before_anything_is_trained(shop: Shop) -> None:
    edit(shop, "customer", PAST, FUTURE)
    shop.prepare()

    result = shop.replay.run(JOB, may_fail=True)

    leak = checks(result, "training_set")["no_leakage"]
    assert not result.success
    assert not leak.passed
    assert "mean_amount" in str(leak.description)
    assert not checks(result, "evaluation")
    assert not result.asset_materializations_for_node("returns__candidate")
    assert read_routing(open_state(shop.lake), "returns") is None
