"""The whole loop of the shop with its lake in a bucket; MLflow and scratch space stay on this machine."""

import pytest
from services import aws, bucket, moto
from shop.deployment import JOB, TRAINING_WEEKS, Shop, value

from mlops_assets.lake.state import open_state
from mlops_assets.rollout.routing import read_routing

__all__ = ["aws", "bucket", "moto"]
pytestmark = [pytest.mark.slow, pytest.mark.service]


@pytest.fixture
def shop_on_s3(bucket: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Shop:
    monkeypatch.setenv("MLOPS_LAKE", bucket)
    return request.getfixturevalue("shop")


def test_a_model_is_fed_trained_deployed_scored_and_watched(shop_on_s3: Shop) -> None:
    shop = shop_on_s3
    assert shop.lake.startswith("s3://")
    shop.prepare()
    trained = shop.replay.run(JOB)
    assert value(trained, "evaluation", "verdict") == "approved"
    routing, generation = read_routing(open_state(shop.lake), "returns")
    assert (routing.champion.version, generation) == (1, 1)

    assert shop.replay.run("lake_maintenance").success
    assert shop.serve_week(TRAINING_WEEKS).success
    assert not (shop.home / "lake").exists()
