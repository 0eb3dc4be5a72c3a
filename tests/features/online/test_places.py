"""Which store a URL opens, and what is said when it opens none."""

import sys
import uuid

import pytest

from mlops_assets.features.online.places import MissingExtra, UnknownOnlineStore, open_store
from mlops_assets.features.online.schema import Schema
from mlops_assets.features.online.store import Changes, StoredView
from mlops_assets.settings import load_settings

SCHEMA = Schema("view", "d" * 64, (("who", "string"),), (("n", "int64"),), None)
ONE_ROW = Changes(
    [(b"a", b"1")], (), StoredView(SCHEMA, 1, source_version=1, as_of_us=0, forgotten=""), is_rebuild=True
)


def settings(root, **environ):
    return load_settings(environ, cwd=root)


@pytest.mark.parametrize(
    ("environ", "folder"),
    [({}, ".mlops/online"), ({"MLOPS_HOME": "x"}, "x/online"), ({"MLOPS_ONLINE_STORE": "sqlite:///rows"}, "rows")],
)
def test_sqlite_files_are_below_the_home_or_where_the_url_says_apart_by_env(tmp_path, environ, folder):
    found = settings(tmp_path, **environ)
    open_store(found.online, env="dev").write("view", ONE_ROW, expected=0)

    assert (tmp_path / folder / "dev" / "view.sqlite").is_file()
    assert open_store(found.online, env="prod").stored("view") is None


def test_an_absolute_folder_stays_absolute(tmp_path):
    url = settings(tmp_path, MLOPS_ONLINE_STORE=f"sqlite:///{tmp_path}/rows").online

    assert url == f"sqlite:///{tmp_path}/rows"


@pytest.mark.service
def test_redis_keys_are_apart_by_env(redis_prefix):
    import redis

    url, _ = redis_prefix
    env = f"test-{uuid.uuid4().hex[:12]}"
    try:
        open_store(f"{url}/0", env=env).write("view", ONE_ROW, expected=0)
        ((_, values),) = open_store(f"{url}/0", env=env).read([("view", [b"a"])])

        assert values == [b"1"]
        assert open_store(f"{url}/0", env=f"{env}-other").stored("view") is None
    finally:
        client = redis.Redis.from_url(url)
        client.delete(*client.scan_iter(f"mlops:{env}*"))


@pytest.mark.service
def test_a_dynamodb_table_is_made_on_demand_in_the_region_of_the_url(aws):
    import boto3

    prefix = f"t{uuid.uuid4().hex[:12]}"
    open_store(f"dynamodb://{prefix}?region=eu-west-1", env="dev").write("view", ONE_ROW, expected=0)

    table = boto3.client("dynamodb", region_name="eu-west-1").describe_table(TableName=f"{prefix}-dev-view")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_a_url_of_another_kind_is_refused():
    with pytest.raises(UnknownOnlineStore, match="found a URL of scheme 'memcached'; required sqlite:///folder"):
        open_store("memcached://here", env="dev")


@pytest.mark.parametrize(
    ("url", "library", "extra"), [("redis://h", "redis", "redis"), ("dynamodb://t", "boto3", "dynamodb")]
)
def test_a_library_that_is_not_installed_is_told_by_its_extra(monkeypatch, url, library, extra):
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(MissingExtra) as error:
        open_store(url, env="dev")
    assert f'pip install "mlops-assets[{extra}]"' in str(error.value)
