"""Online rows in DynamoDB: one table for each view, made on first use and paid by request.

DynamoDB has no transaction for thousands of rows. A rebuild fills a new generation, and readers are sent there by one write.
An increment changes row by row, each of them whole, under a claim: if it breaks off, or another writer takes the claim, the
next materialisation rebuilds.
"""

from __future__ import annotations

import struct
import time
import uuid
from typing import TYPE_CHECKING, Any

from mlops_assets.features.online.dynamodb_items import (
    FOR_EVER,
    addition,
    get_items,
    put_items,
    removal,
    require_table,
)
from mlops_assets.features.online.store import (
    ABSENT,
    NotOnline,
    OnlineConflict,
    UnsettledRead,
    changed,
    decode_state,
    encode_state,
    until_first,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_assets.features.online.store import Changes, StoredView

STATE = b"state"  # shorter than the key of any row
ATTEMPTS = 10


class DynamoStore:
    """Online rows in tables `<prefix><view>`.

    Args:
        client: A boto3 client of DynamoDB.
        patience_s: How long a read tries again when DynamoDB hands work back, or the view changes.
    """

    def __init__(self, client: Any, *, prefix: str, patience_s: float = FOR_EVER) -> None:
        self._client = client
        self._prefix, self._patience_s = prefix, patience_s
        self._known: dict[str, tuple[bytes, StoredView]] = {}

    def stored(self, view: str) -> StoredView | None:
        found = self._state(view)
        return found[1] if found else None

    def read(self, wanted: Sequence[tuple[str, Sequence[bytes]]]) -> list[tuple[StoredView, list[bytes | None]]]:
        """Read the states last: one that is as before was so while the rows were read."""
        until = time.monotonic() + self._patience_s
        for _ in range(ATTEMPTS):
            known = [self._known.get(view) or self._look_up(view) for view, _ in wanted]
            rows = [
                [(self._table(view), _row_key(stored, key)) for key in keys]
                for (view, keys), (_, stored) in zip(wanted, known, strict=True)
            ]
            states = [(self._table(view), STATE) for view, _ in wanted]
            found = get_items(self._client, [*(place for places in rows for place in places), *states], until=until)
            if [raw for raw, _ in known] == [found.get(place) for place in states]:
                return [(stored, list(map(found.get, places))) for (_, stored), places in zip(known, rows, strict=True)]
            self._known = {}
            if time.monotonic() > until:
                break
        raise UnsettledRead([view for view, _ in wanted])

    def write(self, view: str, changes: Changes, *, expected: int) -> None:
        claim = uuid.uuid4().hex
        generation, held = self._claim(view, claim, expected), self.stored(view)
        if held is not None and not changes.is_rebuild:
            generation = held.generation
        stored, table = changed(changes.stored, generation=generation), self._table(view)
        added = [_row_key(stored, key) for key, _ in changes.rows]
        try:
            put_items(self._client, table, map(addition, added, (value for _, value in changes.rows)))
            put_items(self._client, table, (removal(_row_key(stored, key)) for key in changes.gone))
            self._set_state(view, stored, expected, "claim = :mine", {":mine": {"S": claim}})
        except OnlineConflict:
            if (now := self.stored(view)) is None or now.generation != generation:
                put_items(self._client, table, map(removal, added))
            raise
        if changes.is_rebuild:
            self._sweep(view, up_to=generation, but=generation)

    def delete(self, view: str, keys: Sequence[bytes]) -> None:
        until_first(lambda: self._delete(view, keys), ATTEMPTS)

    def _delete(self, view: str, keys: Sequence[bytes]) -> None:
        held = self.stored(view)
        if held is None:
            return
        as_seen = f"revision = :seen and attribute_{'not_' if held.is_complete else ''}exists(claim)"
        newer, seen = changed(held, revision=held.revision + 1), {":seen": {"N": str(held.revision)}}
        generations = self._set_state(view, newer, held.revision, as_seen, seen)
        put_items(self._client, self._table(view), (removal(_row_key(held, key)) for key in keys))
        self._sweep(view, up_to=generations, but=held.generation)

    def _claim(self, view: str, claim: str, expected: int) -> int:
        """Say who writes, which takes the word from any other writer; return a generation that nobody else has."""
        absent = "attribute_not_exists(revision)"
        values = {":claim": {"S": claim}, ":one": {"N": "1"}}
        if expected != ABSENT:
            absent, values = "revision = :expected", {**values, ":expected": {"N": str(expected)}}
        require_table(self._client, self._table(view))
        answer = self._update(view, "SET claim = :claim ADD generations :one", absent, values, expected)
        return int(answer["generations"]["N"])

    def _set_state(self, view: str, stored: StoredView, expected: int, condition: str, values: dict[str, Any]) -> int:
        """Say what the view is from now on, complete or claimed by nobody who lives; return the newest generation."""
        values = {**values, ":state": {"B": encode_state(stored)}, ":revision": {"N": str(stored.revision)}}
        change = "SET v = :state, revision = :revision"
        if stored.is_complete:
            change += " REMOVE claim"
        else:
            change, values = f"{change}, claim = :broken", {**values, ":broken": {"S": "broken off"}}
        return int(self._update(view, change, condition, values, expected)["generations"]["N"])

    def _update(
        self, view: str, change: str, condition: str, values: dict[str, Any], expected: int
    ) -> dict[str, dict[str, str]]:
        try:
            return self._client.update_item(
                TableName=self._table(view),
                Key={"k": {"B": STATE}},
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
            )["Attributes"]
        except self._client.exceptions.ConditionalCheckFailedException as error:
            found = self.stored(view)
            raise OnlineConflict(view, found=found.revision if found else None, required=expected) from error

    def _state(self, view: str) -> tuple[bytes, StoredView] | None:
        try:
            answer = self._client.get_item(TableName=self._table(view), Key={"k": {"B": STATE}}, ConsistentRead=True)
        except self._client.exceptions.ResourceNotFoundException:
            return None
        item = answer.get("Item", {})
        if "v" not in item:
            return None
        raw = bytes(item["v"]["B"])
        return raw, changed(decode_state(view, raw), is_complete="claim" not in item)

    def _look_up(self, view: str) -> tuple[bytes, StoredView]:
        found = self._state(view)
        if found is None:
            raise NotOnline(view)
        self._known[view] = found
        return found

    def _sweep(self, view: str, *, up_to: int, but: int) -> None:
        """Remove generations that no reader is sent to and no writer can bring to use any more."""
        pages = self._client.get_paginator("scan").paginate(TableName=self._table(view), ProjectionExpression="k")
        keys = (bytes(item["k"]["B"]) for page in pages for item in page["Items"])
        put_items(
            self._client,
            self._table(view),
            (removal(key) for key in keys if key != STATE and but != _generation(key) <= up_to),
        )

    def _table(self, view: str) -> str:
        return f"{self._prefix}{view}"


def _row_key(stored: StoredView, key: bytes) -> bytes:
    return struct.pack(">Q", stored.generation) + key


def _generation(key: bytes) -> int:
    return struct.unpack_from(">Q", key)[0]
