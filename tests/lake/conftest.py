"""The places that a lake can be in: every test that takes `place` runs on this machine's disk and on S3."""

import pytest
from services import aws, bucket, moto

__all__ = ["aws", "bucket", "moto"]


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.service)])
def place(request: pytest.FixtureRequest) -> str:
    """Return the URI of an empty folder: a path, or a prefix in a bucket."""
    if request.param == "local":
        return f"{request.getfixturevalue('tmp_path')}/a lake"
    return f"{request.getfixturevalue('bucket')}/dev"
