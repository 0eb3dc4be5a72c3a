"""From orders to traffic: the retraining job, the gate that binds, and which candidate a lone step is about."""

from pathlib import Path

import pytest
from shop.deployment import JOB, Shop, error_of, value

from mlops_assets.lake.state import open_state
from mlops_assets.rollout.routing import read_routing
from mlops_assets.settings import load_settings
from mlops_assets.training.tracking import open_tracking

pytestmark = pytest.mark.slow


def edit(shop: Shop, before: str, after: str) -> None:
    file = shop.defs / "returns" / "defs.yaml"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    shop.reload()


def test_the_first_run_needs_no_champion_and_ends_in_traffic(shop: Shop) -> None:
    shop.prepare()

    result = shop.replay.run(JOB)

    routing, generation = read_routing(open_state(shop.lake), "returns")
    candidate = value(result, "candidate", "mlops/candidate")
    assert routing.champion.candidate_id == candidate
    assert routing.champion.version == value(result, "registered_version", "version") == 1
    assert generation == 1
    assert value(result, "evaluation", "verdict") == "approved"
    run = open_tracking(load_settings()).open_run(str(candidate))
    assert run.tags()["dagster/run_url"] == f"http://127.0.0.1:3000/runs/{result.run_id}"
    for asset, name in (("evaluation", "report"), ("registered_version", "model_card")):
        assert "returns" in Path(str(value(result, asset, name))).read_text()


def test_registration_alone_refuses_a_rejected_candidate(shop: Shop) -> None:
    edit(shop, "floor: 0.6", "floor: 0.99")
    shop.prepare()

    failed = shop.replay.run(JOB, may_fail=True)
    alone = shop.materialize("registered_version")

    assert not failed.success
    assert not alone.success
    assert "rejected: floor: roc_auc is" in error_of(alone)
    assert read_routing(open_state(shop.lake), "returns") is None


def test_registration_alone_refuses_a_candidate_without_a_verdict(shop: Shop) -> None:
    shop.prepare()
    shop.materialize("training_set", "candidate")

    alone = shop.materialize("registered_version")

    assert not alone.success
    assert "found no verdict" in error_of(alone)


def test_lone_steps_bind_to_the_latest_candidate_or_to_the_tagged_one(shop: Shop) -> None:
    shop.prepare()
    first = shop.materialize("training_set", "candidate")
    second = shop.materialize("training_set", "candidate")
    candidates = [str(value(run, "candidate", "mlops/candidate")) for run in (first, second)]
    assert candidates[0] != candidates[1]

    latest = shop.materialize("evaluation")
    tagged = shop.materialize("evaluation", tags={"mlops/candidate": candidates[0]})
    registered = shop.materialize("registered_version", tags={"mlops/candidate": candidates[0]})

    assert value(latest, "evaluation", "mlops/candidate") == candidates[1]
    assert value(tagged, "evaluation", "mlops/candidate") == candidates[0]
    assert value(registered, "registered_version", "mlops/candidate") == candidates[0]


def test_a_second_identical_candidate_is_a_tie_and_is_not_promoted(shop: Shop) -> None:
    shop.deploy()

    again = shop.replay.run(JOB, may_fail=True)

    routing, _ = read_routing(open_state(shop.lake), "returns")
    assert not again.success
    assert value(again, "evaluation", "verdict") == "rejected"
    assert routing.champion.version == 1


def test_deployment_alone_routes_the_bound_candidate_and_repeating_it_changes_nothing(shop: Shop) -> None:
    shop.deploy()

    shop.materialize("deployment")

    routing, generation = read_routing(open_state(shop.lake), "returns")
    assert generation == 1
    assert len(routing.history) == 1
