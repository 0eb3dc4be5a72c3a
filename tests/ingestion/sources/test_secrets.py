"""Secrets: where they are looked up, and that they are nowhere else."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from ingestion.sources.api import basic
from ingestion.sources.world import spec_of
from pydantic import ValidationError

from mlops_assets.ingestion.sources.secrets import SecretMissing, Secrets
from tests.conftest import ROOT

SECRET = "0h-my+hunter/2"
PLACES = (SECRET, quote(SECRET, safe=""), quote(SECRET))


def sql(url: str) -> dict[str, Any]:
    return {"type": "sql_database", "url": url, "tables": {"orders": {}}}


def rest(url: str, auth: dict[str, Any], path: str = "v1/link") -> dict[str, Any]:
    table = {"path": path, "paginator": {"type": "json_link", "next_url_path": "next"}}
    return {"type": "rest_api", "base_url": url, "auth": auth, "max_attempts": 1, "tables": {"orders": table}}


@pytest.fixture
def run(tmp_path) -> Callable[..., tuple[str, Path]]:
    """Load sources in a process that logs everything; return what it says and where it worked."""

    def load(described: dict[str, Any], **secrets: str) -> tuple[str, Path]:
        specs = {
            name: spec_of(source).model_dump(mode="json", exclude_unset=True) for name, source in described.items()
        }
        (tmp_path / "specs.json").write_text(json.dumps(specs))
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("talkative.py")), "specs.json", "work"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RUNTIME__LOG_LEVEL": "DEBUG", **secrets},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout + done.stderr, tmp_path / "work"

    return load


def leaks(said: str, folder: Path) -> list[str]:
    """Return where a secret is found, with what stands around it."""
    texts = {"output": said.encode(), **{str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}}
    return [
        f"{name}: {text[max(0, at - 60) : at + 40]!r}"
        for name, text in texts.items()
        for secret in PLACES
        if (at := text.find(secret.encode())) >= 0
    ]


def test_no_secret_of_an_api_is_in_logs_errors_or_files(run, api):
    api.rows = [{"order_id": n, "placed_at": "2024-03-01T00:00:00Z", "amount": n, "city": "x"} for n in range(5)]
    api.allowed = lambda asked: any(
        SECRET in shown for shown in (asked.headers.get("authorization", ""), basic(asked), *asked.query.values())
    )
    query = {"type": "api_key", "key": "SHOP_KEY", "location": "query", "name": "signature"}
    oauth = {"type": "oauth2_client_credentials", "client_id": "SHOP_KEY", "client_secret": "SHOP_KEY"}
    said, folder = run(
        {
            "bearer": rest(api.url, {"type": "bearer", "token": "SHOP_KEY"}),
            "query": rest(api.url, query),
            "basic": rest(api.url, {"type": "basic", "username": "SHOP_USER", "password": "SHOP_KEY"}),
            "refused_header": rest(api.url, {"type": "api_key", "key": "SHOP_KEY"}),
            "refused_query": rest(api.url, {**query, "key": "SHOP_OTHER"}),
            "refused_oauth": rest(api.url, {**oauth, "token_url": f"{api.url}/token"}),
            "nobody_there": rest("http://127.0.0.1:1", query),
            "not_found": rest(api.url, query, "v1/nowhere"),
        },
        SHOP_KEY=SECRET,
        SHOP_OTHER=f"x{SECRET}"[::-1],
        SHOP_USER="ann",
    )
    assert [line.split()[:2] for line in said.splitlines() if line.split()[1:2] in (["loaded"], ["failed"])] == [
        ["bearer", "loaded"],
        ["query", "loaded"],
        ["basic", "loaded"],
        ["refused_header", "failed"],
        ["refused_query", "failed"],
        ["refused_oauth", "failed"],
        ["nobody_there", "failed"],
        ["not_found", "failed"],
    ]
    assert leaks(said, folder) == []
    assert f"x{SECRET}"[::-1] not in said
    assert [path for path in folder.rglob("*") if path.is_file()]  # failures leave their folder


@pytest.mark.service
def test_no_secret_of_a_database_is_in_logs_errors_or_files(run, postgres):
    url = sa.make_url(postgres)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    role = f"reader_{url.database}"
    with engine.begin() as con:
        con.exec_driver_sql(f"create role {role} login password '{SECRET}'")
        con.exec_driver_sql("create table orders as select 1 order_id, now() placed_at, 1.0::float8 amount, 'x' city")
        con.exec_driver_sql(f"grant select on orders to {role}")
    try:
        with_password = url.set(username=role, password=SECRET)
        said, folder = run(
            {
                "reads": sql("SHOP_READS"),
                "closed": sql("SHOP_CLOSED"),
                "empty": sql("SHOP_EMPTY"),
                "odd": sql("SHOP_ODD"),
            },
            SHOP_READS=with_password.render_as_string(hide_password=False),
            SHOP_CLOSED=with_password.set(port=1).render_as_string(hide_password=False),
            SHOP_EMPTY=with_password.set(database="postgres").render_as_string(hide_password=False),
            SHOP_ODD=f"my password is {SECRET}",
        )
    finally:
        with engine.begin() as con:
            con.exec_driver_sql(f"drop owned by {role}")
            con.exec_driver_sql(f"drop role {role}")
    outcomes = [line.split()[:2] for line in said.splitlines() if line.split()[1:2] in (["loaded"], ["failed"])]
    assert outcomes == [["reads", "loaded"], ["closed", "failed"], ["empty", "failed"], ["odd", "failed"]]
    assert leaks(said, folder) == []


def test_a_secret_comes_from_the_environment_or_from_the_file_of_dlt(tmp_path, monkeypatch):
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "secrets.toml").write_text('[shop]\ntoken = "from the file"\npin = 12\n')
    script = (
        "from mlops_assets.ingestion.sources.secrets import Secrets; import sys; print(Secrets().read(sys.argv[1]))"
    )

    def read(name: str, **environ: str) -> str:
        command = [sys.executable, "-c", script, name]
        env = {**os.environ, "PYTHONPATH": str(ROOT), **environ}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout.strip()

    assert read("shop.token") == "from the file"
    assert read("shop.token", SHOP__TOKEN="from the environment") == "from the environment"
    assert read("SHOP_TOKEN", SHOP_TOKEN="007") == "007"  # not the number 7
    assert read("shop.pin") == "12"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret_says_what_to_set(monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("SHOP_TOKEN", value)
    with pytest.raises(SecretMissing, match="Set the environment variable SHOP_TOKEN, or write `SHOP_TOKEN` in"):
        Secrets().read("SHOP_TOKEN")


def test_a_secret_is_masked_as_it_is_and_as_addresses_have_it():
    secrets = Secrets()
    secrets.add("a b/c")
    assert secrets.masked("a b/c a%20b%2Fc a+b%2Fc abc") == "*** *** *** abc"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"headers": {"Authorization": "Bearer x"}}, "Authorization must be under `auth`"),
        ({"headers": {"X-Api-Key": "x"}}, "X-Api-Key must be under `auth`"),
        ({"base_url": "https://ann:hunter2@shop.example"}, "base_url"),
        ({"auth": {"type": "bearer", "token": "Bearer abc"}}, "token"),
    ],
)
def test_a_secret_that_is_written_into_the_file_is_refused(keys, message):
    source = {"type": "rest_api", "base_url": "https://shop.example", "tables": {"orders": {"path": "x"}}, **keys}
    with pytest.raises(ValidationError, match=message):
        spec_of(source)
