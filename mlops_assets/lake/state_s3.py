"""State objects in a bucket: S3 itself compares, by the tag of the content that a writer saw."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_assets.errors import MlopsError
from mlops_assets.lake.state import ABSENT, SUFFIX, StateConflict, decoded, encoded

if TYPE_CHECKING:
    from collections.abc import Generator

GONE = "NoSuchKey"
LOST = ("PreconditionFailed", "ConditionalRequestConflict", GONE)  # others were first, are writing, or deleted it
ATTEMPTS = 5
TIMEOUT_SECONDS = 20


class MissingBoto3(MlopsError):
    """State below `s3://` needs a library that is not installed."""

    def __init__(self, root: str) -> None:
        super().__init__(
            f"State below {root}",
            found="no package boto3",
            required="boto3",
            remedy='Run `pip install "mlops-assets[aws]"`, or point MLOPS_LAKE at a local folder.',
        )


class BucketUnreachable(MlopsError):
    """S3 does not answer, or refuses."""

    def __init__(self, root: str, detail: str) -> None:
        super().__init__(
            f"State below {root}",
            found=detail,
            required="a bucket that can be listed, read and written",
            remedy="Check the bucket in MLOPS_LAKE, the credentials, AWS_REGION and AWS_ENDPOINT_URL.",
        )


class _Held(NamedTuple):
    data: bytes
    tag: str


@dataclass(frozen=True)
class S3State:
    """Objects below an `s3://` URI; every change is one conditional put.

    Raises:
        MissingBoto3: The extra `aws` is not installed.
    """

    root: str

    def __post_init__(self) -> None:
        from importlib.util import find_spec

        if find_spec("boto3") is None:
            raise MissingBoto3(self.root)

    def read(self, key: str) -> tuple[dict[str, Any], int] | None:
        held = self._get(key)
        return decoded(key, held.data) if held else None

    def swap(self, key: str, value: dict[str, Any], *, generation: int) -> int:
        held = self._get(key)
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
        with self._answers():
            listing = self._client.get_paginator("list_objects_v2")
            pages = listing.paginate(Bucket=self._bucket, Prefix=self._path(prefix))
            paths = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return sorted(path.removeprefix(self._path("")).removesuffix(SUFFIX) for path in paths if path.endswith(SUFFIX))

    def _get(self, key: str) -> _Held | None:
        with self._answers():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._path(key) + SUFFIX)
            except self._client.exceptions.NoSuchKey:
                return None
            return _Held(found["Body"].read(), found["ETag"])

    def _put(self, key: str, value: dict[str, Any], generation: int, *, over: _Held | None) -> bool:
        """Store an object in place of what was seen there; tell whether nobody else was first.

        When a reply gets lost, the client asks again, and what stands in its way is its own first try. That one is known
        by its bytes, since every write names a writer of its own.
        """
        data = encoded(value, generation, writer=uuid.uuid4().hex)
        for _ in range(ATTEMPTS):
            if self._is_accepted(key, data, over):
                return True
            held = self._get(key)
            if held != over:
                return held is not None and held.data == data
        raise BucketUnreachable(self.root, f"{ATTEMPTS} conflicts over {key}, which nobody changed")

    def _is_accepted(self, key: str, data: bytes, over: _Held | None) -> bool:
        from botocore.exceptions import ClientError

        condition = {"IfMatch": over.tag} if over else {"IfNoneMatch": "*"}
        with self._answers():
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._path(key) + SUFFIX, Body=data, **condition)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in LOST:
                    return False
                raise
            return True

    @contextmanager
    def _answers(self) -> Generator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise BucketUnreachable(self.root, str(error)) from error

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            request_checksum_calculation="when_required",  # other stores than Amazon's do not know the newer ones
            response_checksum_validation="when_required",
        )
        return boto3.client("s3", config=config)

    @property
    def _bucket(self) -> str:
        return self.root.split("/")[2]

    def _path(self, key: str) -> str:
        return "/".join([*(part for part in self.root.split("/")[3:] if part), key])
