"""Real servers for tests: PostgreSQL, Redis and an S3 server of moto's. A folder's conftest imports the fixtures it needs.

A server that is absent skips the test; with CI=true that fails it (marker `service`).
"""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

POSTGRES = os.environ.get("TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS", "redis://127.0.0.1:6379")
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}

# Moto looks at the condition of a write and then writes, in two steps: two writers at once would both be first, which
# neither S3 nor DynamoDB lets happen. So it does one request after the other.
MOTO = """
import sys
from threading import Lock
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple
moto, one = DomainDispatcherApplication(create_backend_app), Lock()
def app(environ, start_response):
    with one:
        return list(moto(environ, start_response))
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=MotoRequestHandler)
"""


@pytest.fixture
def postgres() -> Iterator[str]:
    """Yield the SQLAlchemy URL of an empty database of its own."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    engine = sqlalchemy.create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    name = f"mlops_{uuid.uuid4().hex[:12]}"
    try:
        with engine.connect() as con:
            con.exec_driver_sql(f"create database {name}")
    except sqlalchemy.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL at {engine.url.host}:{engine.url.port}: {str(error).splitlines()[0]}")
    yield engine.url.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as con:
        con.exec_driver_sql(f"drop database {name} with (force)")
    engine.dispose()


@pytest.fixture
def redis_prefix() -> Iterator[tuple[str, str]]:
    """Yield the URL of a Redis server and a prefix for keys, which are removed afterwards."""
    redis = pytest.importorskip("redis", reason="redis is not installed")
    client = redis.Redis.from_url(REDIS)
    try:
        client.ping()
    except redis.ConnectionError as error:
        pytest.skip(f"no Redis at {REDIS}: {error}")
    prefix = f"test:{uuid.uuid4().hex[:12]}:"
    yield REDIS, prefix
    for key in client.scan_iter(f"{prefix}*"):
        client.delete(key)
    client.close()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Yield the address of an AWS stand-in (S3, DynamoDB and more) in a process of its own."""
    with own_moto() as (url, _):
        yield url


@contextmanager
def own_moto() -> Iterator[tuple[str, subprocess.Popen]]:
    """Yield address and process of a stand-in that nobody else asks, so that it may be stopped."""
    pytest.importorskip("moto", reason="moto is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-c", MOTO, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the usual variables at the stand-in, for Arrow, Delta and boto3 alike; return its address."""
    for name, value in {**AWS, "AWS_ENDPOINT_URL": moto}.items():
        monkeypatch.setenv(name, value)
    return moto


@pytest.fixture
def bucket(aws: str) -> str:
    """Return `s3://` and an empty bucket."""
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    name = f"lake-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=aws).create_bucket(Bucket=name)
    return f"s3://{name}"


def _wait(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, "the moto server ended"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the moto server did not start")
