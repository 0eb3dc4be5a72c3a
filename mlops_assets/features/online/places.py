"""Which store a URL names: `sqlite:///folder`, `redis://host:port/db` or `dynamodb://table-prefix?region=...`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.features.online.store import OnlineStore

LOOKS = 20


class UnknownOnlineStore(MlopsError):
    """`MLOPS_ONLINE_STORE` names no store."""

    def __init__(self, scheme: str) -> None:
        super().__init__(
            "MLOPS_ONLINE_STORE",
            found=f"a URL of scheme {scheme!r}",
            required="sqlite:///folder, redis://host:port/db or dynamodb://table-prefix?region=...",
            remedy="Correct the variable, or leave it out for SQLite below MLOPS_HOME.",
        )


class MissingExtra(MlopsError):
    """A store needs a library that is not installed."""

    def __init__(self, extra: str, library: str) -> None:
        super().__init__(
            f"Online store {extra}",
            found=f"no module {library}",
            required=f"the extra {extra!r}",
            remedy=f'`pip install "mlops-assets[{extra}]"`.',
        )


def open_store(url: str, *, env: str, timeout_s: float | None = None) -> OnlineStore:
    """Return the online store of one deployment.

    Args:
        env: Name of the deployment; it is part of every file, key and table.
        timeout_s: For whoever reads within a request: most that a call over the network takes, tried once; nobody waits
            longer for a busy DynamoDB. SQLite looks for new files `LOOKS` times a second then.

    Raises:
        UnknownOnlineStore: No store has such a URL.
        MissingExtra: The store's library is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from mlops_assets.features.online.sqlite_store import SqliteStore

        look_every_s = 0 if timeout_s is None else 1 / LOOKS
        return SqliteStore(Path(url.partition(":///")[2]) / env, look_every_s=look_every_s)
    if parts.scheme in ("redis", "rediss", "unix"):
        from mlops_assets.features.online.redis_store import RedisStore

        return RedisStore(_redis(url, timeout_s), prefix=f"mlops:{env}:")
    if parts.scheme == "dynamodb":
        from mlops_assets.features.online.dynamodb_store import DynamoStore

        region = parse_qs(parts.query).get("region", [None])[0]
        patience_s = float("inf") if timeout_s is None else timeout_s
        return DynamoStore(_dynamodb(region, timeout_s), prefix=f"{parts.netloc}-{env}-", patience_s=patience_s)
    raise UnknownOnlineStore(parts.scheme)


def _redis(url: str, timeout_s: float | None) -> Any:
    client = _library("redis", "redis").Redis
    if timeout_s is None:
        return client.from_url(url)
    retry = importlib.import_module("redis.retry").Retry(importlib.import_module("redis.backoff").NoBackoff(), 0)
    return client.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=retry)


def _dynamodb(region: str | None, timeout_s: float | None) -> Any:
    boto3, config = _library("boto3", "dynamodb"), None
    if timeout_s is not None:
        limits = {"connect_timeout": timeout_s, "read_timeout": timeout_s, "retries": {"total_max_attempts": 1}}
        config = importlib.import_module("botocore.config").Config(**limits)
    return boto3.client("dynamodb", region_name=region, config=config)


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(extra, name) from error
