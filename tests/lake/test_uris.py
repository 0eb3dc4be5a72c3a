"""Places."""

from mlops_assets.lake.uris import is_local, join, local_path, scheme


def test_join_keeps_one_slash_between_parts():
    assert join("/lake/dev/", "raw", "/shop/", "orders") == "/lake/dev/raw/shop/orders"
    assert join("s3://bucket/dev", "routing", "m.json") == "s3://bucket/dev/routing/m.json"


def test_local_and_remote_are_told_apart():
    assert is_local("/lake")
    assert is_local("file:///lake")
    assert not is_local("s3://bucket")
    assert scheme("s3://bucket/x") == "s3"
    assert str(local_path("file:///my%20lake")) == "/my lake"
    assert str(local_path("/my%20lake")) == "/my%20lake"
