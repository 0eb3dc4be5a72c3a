"""Whole objects on S3, each read or written by one request, so that nobody sees a part of one and a part of another.

Arrow's own filesystem asks for the size first and then for that many bytes: of an object that was replaced in between it
returns a part. Credentials, region and endpoint come from the usual variables.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_assets.errors import MlopsError
from mlops_assets.lake.uris import scheme

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

ABSENT = ("NoSuchKey", "404")
ATTEMPTS = 5
TIMEOUT_SECONDS = 20


class UnsupportedPlace(MlopsError):
    """The lake cannot be in this kind of store."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            uri,
            found=f"a place of kind {scheme(uri)}",
            required="a local path or an `s3://` URI",
            remedy="Point MLOPS_LAKE at one of these.",
        )


class MissingBoto3(MlopsError):
    """A place below `s3://` needs a library that is not installed."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            uri,
            found="no package boto3",
            required="boto3",
            remedy='Run `pip install "mlops-assets[aws]"`, or point MLOPS_LAKE at a local folder.',
        )


class BucketUnreachable(MlopsError):
    """S3 does not answer, or refuses."""

    def __init__(self, uri: str, detail: str) -> None:
        super().__init__(
            uri,
            found=detail,
            required="a bucket that can be listed, read and written",
            remedy="Check the bucket in MLOPS_LAKE, the credentials, AWS_REGION and AWS_ENDPOINT_URL.",
        )


class Held(NamedTuple):
    """An object as it was read: its bytes, and the tag by which S3 knows them."""

    data: bytes
    tag: str


def get(uri: str) -> Held | None:
    """Return the object at a URI, or None; what breaks off in the middle is asked for again."""
    with _answers(uri):
        from botocore.exceptions import IncompleteReadError, ResponseStreamingError
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        is_broken = retry_if_exception_type((IncompleteReadError, ResponseStreamingError))
        return Retrying(retry=is_broken, stop=stop_after_attempt(ATTEMPTS), reraise=True)(_get, uri)


def put(
    uri: str, data: bytes | memoryview, *, condition: Mapping[str, str] | None = None, accepts: Sequence[str] = ()
) -> bool:
    """Store an object; tell whether it was stored, or refused for a reason that the caller accepts."""
    with _answers(uri):
        return _ask(uri, "put_object", accepts=accepts, Body=bytes(data), **(condition or {})) is not None


def exists(uri: str) -> bool:
    """Tell whether an object is at a URI."""
    with _answers(uri):
        return _ask(uri, "head_object", accepts=ABSENT) is not None


def stat(uri: str) -> tuple[int, datetime]:
    """Return the size of an object in bytes, and when it was written; (0, 1970) if there is none."""
    with _answers(uri):
        found = _ask(uri, "head_object", accepts=ABSENT)
    return (found["ContentLength"], found["LastModified"]) if found else (0, datetime.fromtimestamp(0, UTC))


def remove(uri: str) -> None:
    """Remove an object; one that is not there is no mistake."""
    with _answers(uri):
        _ask(uri, "delete_object", accepts=ABSENT)


def list_objects(prefix: str) -> list[str]:
    """Return the URIs of all objects whose URI starts with `prefix`, sorted."""
    return _listed(prefix, "Contents", "Key")


def list_folders(prefix: str) -> list[str]:
    """Return the folders among the URIs that start with `prefix`: what they share up to the next slash, sorted."""
    return [uri.removesuffix("/") for uri in _listed(prefix, "CommonPrefixes", "Prefix", Delimiter="/")]


def _listed(prefix: str, kind: str, field: str, **options: str) -> list[str]:
    bucket, path = _split(prefix)
    with _answers(prefix):
        listing = _client(_variables()).get_paginator("list_objects_v2")
        pages = list(listing.paginate(Bucket=bucket, Prefix=path, **options))
    return sorted(f"s3://{bucket}/{one[field]}" for page in pages for one in page.get(kind, ()))


def _get(uri: str) -> Held | None:
    found = _ask(uri, "get_object", accepts=ABSENT)
    return Held(found["Body"].read(), found["ETag"]) if found else None


def _ask(uri: str, operation: str, *, accepts: Sequence[str], **arguments: Any) -> dict[str, Any] | None:
    """Return the answer of S3 about one object; None if it refuses for a reason that is accepted."""
    from botocore.exceptions import ClientError

    bucket, key = _split(uri)
    try:
        return getattr(_client(_variables()), operation)(Bucket=bucket, Key=key, **arguments)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in accepts:
            return None
        raise


@contextmanager
def _answers(uri: str) -> Generator[None]:
    require_client(uri)
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise BucketUnreachable(uri, str(error)) from error


def require_client(uri: str) -> None:
    """Check that a place can be worked with at all.

    Raises:
        UnsupportedPlace: It is not on S3.
        MissingBoto3: The extra `aws` is not installed.
    """
    if scheme(uri) != "s3":
        raise UnsupportedPlace(uri)
    if find_spec("boto3") is None:
        raise MissingBoto3(uri)


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _variables() -> tuple[tuple[str, str], ...]:
    """Return what boto3 reads by itself: a client is used again until one of them changes."""
    found = os.environ.items()  # noqa: TID251  they only tell clients apart here
    return tuple(sorted((name, value) for name, value in found if name.startswith("AWS_")))


@lru_cache(maxsize=4)
def _client(_: tuple[tuple[str, str], ...]) -> Any:
    """Return the client for what the variables say at present."""
    from boto3.session import Session
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=TIMEOUT_SECONDS,
        read_timeout=TIMEOUT_SECONDS,
        request_checksum_calculation="when_required",  # other stores than Amazon's do not know the newer ones
        response_checksum_validation="when_required",
    )
    return Session().client("s3", config=config)
