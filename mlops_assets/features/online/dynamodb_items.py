"""Items of DynamoDB tables, a key `k` and a value `v` each, read and written in batches until all of them went through."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import MlopsError
from mlops_assets.features.online.store import in_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

READ_BATCH, WRITE_BATCH = 100, 25  # DynamoDB's own limits
ATTEMPTS = 10
PAUSE_SECONDS = 0.05
FOR_EVER = float("inf")
Place = tuple[str, bytes]  # table and key


class Throttled(MlopsError):
    """DynamoDB kept handing work back."""

    def __init__(self, attempts: int) -> None:
        super().__init__(
            "DynamoDB",
            found=f"unprocessed items after {attempts} attempts",
            required="all of them processed",
            remedy="Retry later; see the throttling metrics of the table.",
        )


def get_items(client: Any, places: Iterable[Place], *, until: float = FOR_EVER) -> dict[Place, bytes]:
    """Return the values that are there, as they were last written, in the order of batches.

    Args:
        until: `time.monotonic()` after which nobody waits for what DynamoDB has handed back.

    Raises:
        Throttled: DynamoDB is busy.
    """
    found: dict[Place, bytes] = {}
    for part in in_parts(dict.fromkeys(places), READ_BATCH):
        asked: dict[str, Any] = {}
        for table, key in part:
            asked.setdefault(table, {"Keys": [], "ConsistentRead": True})["Keys"].append({"k": {"B": key}})
        for answer in _answers(client.batch_get_item, asked, "UnprocessedKeys", until):
            for table, items in answer["Responses"].items():
                found.update(((table, bytes(item["k"]["B"])), bytes(item["v"]["B"])) for item in items)
    return found


def put_items(client: Any, table: str, requests: Iterable[dict[str, Any]]) -> None:
    """Carry out what `addition` and `removal` describe, each key at most once.

    Raises:
        Throttled: DynamoDB is busy.
    """
    for part in in_parts(requests, WRITE_BATCH):
        for _ in _answers(client.batch_write_item, {table: part}, "UnprocessedItems"):
            pass


def addition(key: bytes, value: bytes) -> dict[str, Any]:
    """Return the request that puts a value."""
    return {"PutRequest": {"Item": {"k": {"B": key}, "v": {"B": value}}}}


def removal(key: bytes) -> dict[str, Any]:
    """Return the request that removes a key."""
    return {"DeleteRequest": {"Key": {"k": {"B": key}}}}


def require_table(client: Any, name: str) -> None:
    """Make a table, paid by request, unless it is there."""
    try:
        client.describe_table(TableName=name)
    except client.exceptions.ResourceNotFoundException:
        with suppress(client.exceptions.ResourceInUseException):  # somebody else was faster
            client.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "B"}],
                BillingMode="PAY_PER_REQUEST",
            )
        client.get_waiter("table_exists").wait(TableName=name)


def _answers(
    call: Callable[..., dict[str, Any]], asked: dict[str, Any], left: str, until: float = FOR_EVER
) -> Iterator[dict[str, Any]]:
    """Yield answers until nothing that was asked for is left over."""
    for attempt in range(ATTEMPTS):
        answer = call(RequestItems=asked)
        yield answer
        asked = answer.get(left) or {}
        if not asked:
            return
        pause = PAUSE_SECONDS * 2**attempt
        if time.monotonic() + pause > until:
            raise Throttled(attempt + 1)
        time.sleep(pause)
    raise Throttled(ATTEMPTS)
