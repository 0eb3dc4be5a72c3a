"""Real servers, one of its own for every test."""

from collections.abc import Iterator

import pytest
from ingestion.sources.api import Api, serving

from tests.services import aws, bucket, moto, postgres

__all__ = ["aws", "bucket", "moto", "postgres"]


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as started:
        yield started
