"""State objects in a bucket: S3 itself compares, by the tag of the content that a writer saw."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.lake import s3
from mlops_assets.lake.state import ABSENT, SUFFIX, StateConflict, decoded, encoded
from mlops_assets.lake.uris import join

if TYPE_CHECKING:
    from mlops_assets.lake.s3 import Held

LOST = (
    "PreconditionFailed",
    "ConditionalRequestConflict",
    "NoSuchKey",
)  # others were first, are writing, or deleted it


@dataclass(frozen=True)
class S3State:
    """Objects below an `s3://` URI; every change is one conditional put."""

    root: str

    def __post_init__(self) -> None:
        s3.require_client(self.root)

    def read(self, key: str) -> tuple[dict[str, Any], int] | None:
        held = s3.get(self._uri(key))
        return decoded(key, held.data) if held else None

    def swap(self, key: str, value: dict[str, Any], *, generation: int) -> int:
        held = s3.get(self._uri(key))
        found = decoded(key, held.data)[1] if held else ABSENT
        if found != generation:
            raise StateConflict(key, found=found, required=generation)
        if not self._put(key, value, generation + 1, over=held):
            now = self.read(key)
            raise StateConflict(key, found=now[1] if now else ABSENT, required=generation)
        return generation + 1

    def put_if_absent(self, key: str, value: dict[str, Any]) -> bool:
        return self._put(key, value, ABSENT + 1, over=None)

    def keys(self, prefix: str) -> list[str]:
        start = join(self.root, "")
        names = [uri.removeprefix(start) for uri in s3.list_objects(start + prefix)]
        return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))

    def _uri(self, key: str) -> str:
        return join(self.root, key + SUFFIX)

    def _put(self, key: str, value: dict[str, Any], generation: int, *, over: Held | None) -> bool:
        """Store an object in place of what was seen there; tell whether nobody else was first.

        When a reply gets lost, the client asks again, and what stands in its way is its own first try. That one is known
        by its bytes, since every write names a writer of its own.
        """
        data = encoded(value, generation, writer=uuid.uuid4().hex)
        condition = {"IfMatch": over.tag} if over else {"IfNoneMatch": "*"}
        for _ in range(s3.ATTEMPTS):
            if s3.put(self._uri(key), data, condition=condition, accepts=LOST):
                return True
            held = s3.get(self._uri(key))
            if held != over:
                return held is not None and held.data == data
        raise s3.BucketUnreachable(self._uri(key), f"{s3.ATTEMPTS} conflicts over an object that nobody changed")
