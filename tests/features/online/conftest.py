"""The three kinds of online store, each on a server of its own kind, and all empty."""

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.features.online.store import OnlineStore
from tests.services import aws, moto, redis_prefix  # noqa: F401  fixtures

KINDS = [
    "sqlite",
    pytest.param("redis", marks=pytest.mark.service),
    pytest.param("dynamodb", marks=pytest.mark.service),
]


@pytest.fixture(params=KINDS)
def open_again(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], OnlineStore]:
    """Return what opens one and the same store, as another process would."""
    return OPENERS[request.param](request, tmp_path)


@pytest.fixture
def store(open_again: Callable[[], OnlineStore]) -> OnlineStore:
    return open_again()


def _sqlite(request: pytest.FixtureRequest, folder: Path) -> Callable[[], OnlineStore]:
    from mlops_assets.features.online.sqlite_store import SqliteStore

    return lambda: SqliteStore(folder / "online")


def _redis(request: pytest.FixtureRequest, folder: Path) -> Callable[[], OnlineStore]:
    import redis

    from mlops_assets.features.online.redis_store import RedisStore

    url, prefix = request.getfixturevalue("redis_prefix")
    return lambda: RedisStore(redis.Redis.from_url(url), prefix=prefix)


def _dynamodb(request: pytest.FixtureRequest, folder: Path) -> Callable[[], OnlineStore]:
    import boto3

    from mlops_assets.features.online.dynamodb_store import DynamoStore

    request.getfixturevalue("aws")
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    return lambda: DynamoStore(boto3.client("dynamodb"), prefix=prefix)


OPENERS = {"sqlite": _sqlite, "redis": _redis, "dynamodb": _dynamodb}
