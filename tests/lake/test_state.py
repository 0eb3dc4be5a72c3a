"""State objects: one suite for every store, with processes that race or die."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mlops_assets.lake.files import read_bytes, write_bytes
from mlops_assets.lake.s3 import BucketUnreachable, UnsupportedPlace
from mlops_assets.lake.state import (
    StateConflict,
    StateStore,
    UnreadableState,
    open_state,
)
from mlops_assets.lake.uris import join

ROOT = Path(__file__).parents[2]


@pytest.fixture
def state(place) -> StateStore:
    return open_state(place)


def test_a_store_starts_empty(state):
    assert state.read("routing/m") is None
    assert state.keys("") == []


def test_each_swap_needs_the_generation_before_it(state):
    assert state.swap("routing/m", {"champion": 1}, generation=0) == 1
    assert state.swap("routing/m", {"champion": 2}, generation=1) == 2
    for stale in (0, 1, 3):
        with pytest.raises(StateConflict, match=f"found generation 2; required generation {stale}"):
            state.swap("routing/m", {"champion": 9}, generation=stale)
    assert state.read("routing/m") == ({"champion": 2}, 2)


def test_put_if_absent_keeps_the_first(state):
    assert state.put_if_absent("events/m/1", {"n": 1})
    assert not state.put_if_absent("events/m/1", {"n": 2})
    assert state.read("events/m/1") == ({"n": 1}, 1)


def test_keys_are_those_of_the_prefix_sorted(state):
    for key in ("events/b/2", "events/b/1", "events/b-c/1", "events/b-c", "events/b", "held/b"):
        state.put_if_absent(key, {})
    assert state.keys("events/b/") == ["events/b/1", "events/b/2"]
    assert state.keys("events/b-") == ["events/b-c", "events/b-c/1"]
    assert state.keys("") == ["events/b", "events/b-c", "events/b-c/1", "events/b/1", "events/b/2", "held/b"]
    assert state.keys("nothing/") == []


def test_an_object_of_another_schema_version_is_refused(state, place):
    state.put_if_absent("m", {})
    file = join(place, "m.json")
    write_bytes(file, read_bytes(file).replace(b'"schema_version": 1', b'"schema_version": 2'))
    with pytest.raises(UnreadableState, match="State m: found schema_version 2"):
        state.read("m")
    write_bytes(file, b"[]")
    with pytest.raises(UnreadableState, match="no state object"):
        state.read("m")


def test_a_place_without_a_store_is_refused():
    with pytest.raises(UnsupportedPlace, match="gs://bucket"):
        open_state("gs://bucket/dev")


@pytest.mark.service
def test_a_bucket_that_is_not_there_is_named(aws):
    with pytest.raises(BucketUnreachable, match=r"s3://nowhere/m\.json: found .*NoSuchBucket"):
        open_state("s3://nowhere").read("m")
    with pytest.raises(BucketUnreachable, match="NoSuchBucket"):
        open_state("s3://nowhere").put_if_absent("m", {})


def test_without_the_library_s3_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['boto3'] = None; from mlops_assets.lake.state import open_state; open_state('s3://b')"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 'Run `pip install "mlops-assets[aws]"`' in process.stderr


class LosesReplies(ThreadingHTTPServer):
    """Passes requests on; instead of the answer to the first put, and in the middle of the first read, it hangs up."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.target, self.puts, self.reads = target, 0, 0


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # or the client would wait for leave to send the body

    def relay(self) -> None:
        assert isinstance(self.server, LosesReplies)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {"Content-Type": "application/octet-stream", **self.headers}
        request = Request(self.server.target + self.path, body or None, headers, method=self.command)
        try:
            with urlopen(request, timeout=20) as answer:
                status, headers, data = answer.status, answer.headers, answer.read()
        except HTTPError as answer:
            status, headers, data = answer.code, answer.headers, answer.read()
        self.server.puts += self.command == "PUT"
        if self.command == "PUT" and self.server.puts == 1:
            self.close_connection = True
            return
        self.send_response(status)
        for name, text in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.server.reads += self.command == "GET" and status == 200
        if self.command == "GET" and self.server.reads == 1:
            self.close_connection = True
            data = data[: len(data) // 2]
        self.wfile.write(data)

    do_GET = do_PUT = relay  # noqa: N815  the names that the server looks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.service
@pytest.mark.parametrize("write", ["swap", "put_if_absent"])
def test_a_write_whose_reply_got_lost_counts_once(bucket, aws, monkeypatch, write):
    relay = LosesReplies(aws)
    thread = threading.Thread(target=relay.serve_forever)
    thread.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{relay.server_port}")
        state = open_state(bucket)
        if write == "swap":
            assert state.swap("m", {"n": 1}, generation=0) == 1
        else:
            assert state.put_if_absent("m", {"n": 1})
        assert (relay.puts, relay.reads) == (2, 2)  # the write is recognised as our own
        assert state.read("m") == ({"n": 1}, 1)
        assert not state.put_if_absent("m", {"n": 1})
    finally:
        relay.shutdown()
        thread.join()
        relay.server_close()


COUNTER = """
import sys
from mlops_assets.lake.state import StateConflict, open_state
state = open_state(sys.argv[1])
done = 0
while done < 40:
    value, generation = state.read("counter") or ({"n": 0}, 0)
    try:
        state.swap("counter", {"n": value["n"] + 1}, generation=generation)
        done += 1
    except StateConflict:
        pass
"""


@pytest.mark.slow
def test_no_increment_of_racing_processes_is_lost(state, place):
    racers = [subprocess.Popen([sys.executable, "-c", COUNTER, place], cwd=ROOT) for _ in range(3)]
    assert [racer.wait(120) for racer in racers] == [0, 0, 0]
    assert state.read("counter") == ({"n": 120}, 120)


FIRST = """
import sys
from mlops_assets.lake.state import open_state
state = open_state(sys.argv[1])
state.read("ready")
sys.stdin.readline()
print([state.put_if_absent(f"events/{n}", {}) for n in range(20)])
"""


@pytest.mark.slow
def test_of_racing_processes_that_put_the_same_objects_each_is_put_by_one(place):
    command = [sys.executable, "-c", FIRST, place]
    racers = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    put = [json.loads(racer.communicate(timeout=120)[0].lower()) for racer in racers]
    assert [sum(one) for one in zip(*put, strict=True)] == [1] * 20


DYING = """
import sys
from mlops_assets.lake.state import open_state
state = open_state(sys.argv[1])
value, generation = state.read("m") or ({"n": 0}, 0)
print("ready", flush=True)
while True:
    value = {"n": value["n"] + 1, "padding": "x" * 200_000}
    generation = state.swap("m", value, generation=generation)
"""


@pytest.mark.slow
def test_a_process_killed_again_and_again_leaves_a_readable_object_and_no_lock(state, place):
    last = 0
    for attempt in range(12):
        process = subprocess.Popen([sys.executable, "-c", DYING, place], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.003 * attempt)
        process.kill()
        process.wait()
        value, generation = state.read("m") or ({"n": 0}, 0)
        assert value["n"] == generation >= last
        last = generation
    assert last > 0
    assert state.swap("m", {"n": 0}, generation=last) == last + 1
    assert state.keys("") == ["m"]
