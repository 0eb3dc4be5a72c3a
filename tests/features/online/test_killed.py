"""A writer that is killed leaves the old rows or the new ones, and the next writer goes on from there."""

import os
import signal
import subprocess
import sys
import time

import pytest
from features.online.killed import KEYS, open_store

from tests.conftest import ROOT

ROUNDS = 8


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.service)])
def place(request, tmp_path):
    if request.param == "sqlite":
        return "sqlite", str(tmp_path), ""
    return "redis", *request.getfixturevalue("redis_prefix")


def revisions(store):
    """Return the revision of the state, and those of the rows."""
    ((stored, values),) = store.read([("view", KEYS)])
    return stored.revision, {None if value is None else int(value) for value in values}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rebuild", "increment"])
def test_a_reader_sees_one_revision_whole_whenever_a_writer_is_killed(place, how):
    command = [sys.executable, "-m", "features.online.killed", *place, how]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    reader, seen = open_store(*place), []
    for number in range(ROUNDS):
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline() == "ready\n"
            end = time.monotonic() + 0.013 * number
            while time.monotonic() < end:  # while it writes, too
                revision, rows = revisions(reader)
                assert rows == {revision}
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        revision, rows = revisions(reader)
        assert rows == {revision}
        assert revisions(open_store(*place)) == (revision, rows)
        seen.append(revision)
    assert seen == sorted(set(seen))
