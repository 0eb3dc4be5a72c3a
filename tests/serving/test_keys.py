"""API keys: the file, the command, and what a request has to show."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.serving import auth
from mlops_assets.serving.auth import Auth
from mlops_assets.serving.event_ids import EventIds, utc_text
from mlops_assets.serving.http_problems import Forbidden, TooBusy, TooFast, Unauthorized
from mlops_assets.serving.keys import (
    NoKeys,
    Scope,
    UnreadableKeys,
    WrongKeyName,
    create_key,
    read_keys,
    revoke_key,
)
from mlops_assets.serving.limits import InFlight, RateLimit, window
from mlops_assets.serving.options import ServerOptions

NOW = datetime(2013, 4, 1, tzinfo=UTC)


def bearer(token: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {token}".encode()}


def look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.monotonic() + 10 * auth.LOOK_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)


def test_the_file_holds_a_hash_and_no_token(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"

    token = create_key(path, "web", "invoke", now=NOW)

    digest = subprocess.run(["sha256sum"], input=token.encode(), capture_output=True, check=True).stdout.split()[0]
    [stored] = json.loads(path.read_text())["keys"]
    assert stored["sha256"] == digest.decode()
    assert token not in path.read_text()
    assert len(token) >= 43, "32 random bytes"
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "headers",
    [
        bearer,
        lambda token: {b"x-api-key": token.encode()},
        lambda token: {b"authorization": b"bearer  " + token.encode()},
    ],
)
def test_a_key_opens_what_its_scope_names_and_nothing_else(
    tmp_path: Path, headers: Callable[[str], dict[bytes, bytes]]
) -> None:
    path = tmp_path / "keys.json"
    scopes: tuple[Scope, Scope] = ("invoke", "admin")
    tokens = {scope: create_key(path, f"my {scope}", scope, now=NOW) for scope in scopes}
    door = Auth(path)

    for scope in scopes:
        key = door.check(headers(tokens[scope]), scope)
        assert key is not None
        assert key.name == f"my {scope}"
    with pytest.raises(Forbidden, match="of scope invoke"):
        door.check(headers(tokens["invoke"]), "admin")
    with pytest.raises(Forbidden, match="of scope admin"):
        door.check(headers(tokens["admin"]), "invoke")


def test_neither_nothing_nor_nearly_the_token_nor_its_hash_opens(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    token = create_key(path, "web", "invoke", now=NOW)
    door = Auth(path)
    digest = read_keys(path)[0].sha256

    for given in ("", "x", token[:-1], token + "x", token.swapcase(), digest, "web", "\u00e9"):
        with pytest.raises(Unauthorized):
            door.check(bearer(given), "invoke")
    with pytest.raises(Unauthorized, match="no key"):
        door.check({}, "invoke")
    with pytest.raises(Unauthorized):
        door.check({b"authorization": b"Basic " + token.encode()}, "invoke")
    assert door.check(bearer(token), "invoke")


def test_without_a_file_everybody_may_ask() -> None:
    assert Auth(None).check({}, "invoke") is None


def test_a_server_whose_file_of_keys_is_missing_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(NoKeys, match=r"found no such file; .* Run `mlops keys create"):
        Auth(tmp_path / "keys.json")
    with pytest.raises(NoKeys):
        revoke_key(tmp_path / "keys.json", "web")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"keys": [{"name": "a"}]}', '{"schema_version": 9, "keys": []}'])
def test_a_server_whose_file_of_keys_is_none_does_not_start_and_nobody_overwrites_it(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    calls: list[Callable[[], object]] = [
        lambda: Auth(path),
        lambda: create_key(path, "web", "invoke", now=NOW),
        lambda: revoke_key(path, "web"),
    ]

    for call in calls:
        with pytest.raises(UnreadableKeys, match="Restore it from a backup; or move it away"):
            call()
    assert path.read_text() == content


def test_keys_made_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    names = [f"caller {number}" for number in range(16)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: create_key(path, name, "invoke", now=NOW), names))

    assert sorted(key.name for key in read_keys(path)) == sorted(names)


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "bell\a"])
def test_a_name_that_nobody_could_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongKeyName, match="printable"):
        create_key(tmp_path / "keys.json", name, "invoke", now=NOW)


def test_changes_of_the_file_reach_a_running_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.json"
    old = create_key(path, "old", "invoke", now=NOW)
    door = Auth(path)
    new = create_key(path, "new", "invoke", now=NOW)
    revoke_key(path, "old")
    look_again(monkeypatch)

    assert door.check(bearer(new), "invoke")
    with pytest.raises(Unauthorized):
        door.check(bearer(old), "invoke")


def test_a_file_that_breaks_under_a_running_server_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    token = create_key(path, "web", "invoke", now=NOW)
    door = Auth(path)
    path.write_text("{")
    look_again(monkeypatch)

    assert door.check(bearer(token), "invoke")
    assert "hold on" in caplog.text
    with pytest.raises(Unauthorized):
        door.check(bearer("other"), "invoke")


def test_the_command_makes_lists_and_revokes_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    run = CliRunner().invoke
    made = run(app, ["keys", "create", "web"])
    admin = run(app, ["keys", "create", "ops", "--scope", "admin"])
    listed = run(app, ["keys", "list"]).stdout
    again = run(app, ["keys", "create", "web"])
    revoked = run(app, ["keys", "revoke", "web"])
    gone = run(app, ["keys", "revoke", "web"])

    door = Auth(tmp_path / "keys.json")
    assert door.check(bearer(admin.stdout.strip().splitlines()[-1]), "admin")
    with pytest.raises(Unauthorized):
        door.check(bearer(made.stdout.strip().splitlines()[-1]), "invoke")
    assert [line.split()[:2] for line in listed.splitlines()] == [["web", "invoke"], ["ops", "admin"]]
    assert made.stdout.strip().splitlines()[-1] not in listed
    assert (revoked.exit_code, "found a key of that name" in str(again.exception)) == (0, True)
    assert "required one of ops" in str(gone.exception)
    assert "There is no key" not in listed
    run(app, ["keys", "revoke", "ops"])
    assert "refuses everybody" in run(app, ["keys", "list"]).stderr


def test_a_caller_has_its_share_of_the_rate_and_others_have_theirs() -> None:
    limit = RateLimit(ServerOptions(requests_per_second=40, workers=4))

    refused = []
    for _ in range(100):
        try:
            limit.check("web")
        except TooFast as problem:
            refused.append(problem.retry_after)
    limit.check("other")

    assert 10 <= 100 - len(refused) <= 30, "10 a second on this worker; a new second may have begun meanwhile"
    assert set(refused) == {1}


@pytest.mark.parametrize(
    ("per_second", "workers", "amount", "seconds"),
    [(100, 1, 100, 1), (2.5, 1, 5, 2), (1, 4, 1, 4), (0.1, 1, 1, 10), (1, 3, 1, 3)],
)
def test_a_rate_that_is_no_whole_number_takes_a_longer_window(
    per_second: float, workers: int, amount: int, seconds: int
) -> None:
    item = window(per_second / workers)

    assert (item.amount, item.get_expiry()) == (amount, seconds)


def test_no_rate_is_no_limit() -> None:
    limit = RateLimit(ServerOptions())

    for _ in range(1000):
        limit.check("web")


def test_a_worker_takes_so_many_at_once_and_counts_what_ended() -> None:
    gate = InFlight(2)
    with gate:
        with gate, pytest.raises(TooBusy), gate:
            pass
        assert gate.now == 1
    assert gate.now == 0


def test_event_ids_are_unique_over_workers_and_in_order_of_time() -> None:
    script = (
        "import os\nfrom mlops_assets.serving.event_ids import EventIds\n"
        "if os.fork(): os.wait()\nids = EventIds()\nprint('\\n'.join(ids() for _ in range(5000)), flush=True)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ids, own = run.stdout.split(), EventIds()

    first = own()
    time.sleep(0.002)
    assert len(ids) == len(set(ids)) == 10_000
    assert len({one[-12:] for one in (*ids, own())}) == 3, "each process has its own end"
    assert first < own()
    assert first[14] == "7"


def test_times_are_utc_to_the_millisecond() -> None:
    for seconds in (0.0, 1641920439.25, 1641920439.9999):
        expected = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        assert datetime.fromisoformat(utc_text(seconds)[:-1]) == expected.replace(
            microsecond=expected.microsecond // 1000 * 1000
        )
