"""Which store a URL names: `sqlite:///folder`, `redis://host:port/db` or `dynamodb://table-prefix?region=...`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from mlops_assets.features.online.store import OnlineStore


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


def open_store(url: str, *, env: str) -> OnlineStore:
    """Return the online store of one deployment.

    Args:
        env: Name of the deployment; it is part of every file, key and table.

    Raises:
        UnknownOnlineStore: No store has such a URL.
        MissingExtra: The store's library is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from mlops_assets.features.online.sqlite_store import SqliteStore

        return SqliteStore(Path(url.partition(":///")[2]) / env)
    if parts.scheme in ("redis", "rediss", "unix"):
        from mlops_assets.features.online.redis_store import RedisStore

        return RedisStore(_library("redis", "redis").Redis.from_url(url), prefix=f"mlops:{env}:")
    if parts.scheme == "dynamodb":
        from mlops_assets.features.online.dynamodb_store import DynamoStore

        region = parse_qs(parts.query).get("region", [None])[0]
        client = _library("boto3", "dynamodb").client("dynamodb", region_name=region)
        return DynamoStore(client, prefix=f"{parts.netloc}-{env}-")
    raise UnknownOnlineStore(parts.scheme)


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(extra, name) from error
