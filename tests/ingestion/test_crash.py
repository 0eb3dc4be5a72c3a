"""Loads and releases that are killed (SIGKILL) anywhere, and twins that run at the same moment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ingestion import ledger as source
from ingestion.ledger import FILE, Ledger, ledger_spec, row

from mlops_assets.ingestion.publish import LoadOvertaken

ROOT = Path(__file__).parents[2]
TRIALS = 6
BAD, SMALL = [[9, -50.0]], [[2, -1.0], [4, -2.0]]
ENVIRON = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


@pytest.fixture(autouse=True)
def _own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, "")


def killed_and_repeated(folder: Path, *arguments: str) -> list[dict]:
    """Return what is there after each trial: a run that was killed at another line each time, and the run after it."""
    command = [sys.executable, str(ROOT / "tests/ingestion/crash.py"), str(folder), *arguments, str(TRIALS)]
    done = subprocess.run(command, env=ENVIRON, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=500)
    trials = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len({trial["line"] for trial in trials}) == TRIALS
    assert {(trial["killed"], trial["again"]) for trial in trials} == {(9, 0)}
    return trials


@pytest.mark.slow
@pytest.mark.parametrize(("source", "publish", "key"), [("grows", "append", ""), ("whole", "upsert", "id,at")])
def test_a_load_killed_anywhere_and_run_again_has_each_row_once(tmp_path, source, publish, key):
    for trial in killed_and_repeated(tmp_path, "load", source, publish, key):
        assert trial["published"] == [[1, 1.0], [3, 1.0]], trial
        assert sorted(trial["aside"]) == sorted([*SMALL, *BAD, *BAD]), trial


@pytest.mark.slow
@pytest.mark.parametrize(("source", "publish", "key"), [("grows", "append", ""), ("whole", "replace", "")])
def test_a_release_killed_anywhere_and_run_again_has_each_row_once(tmp_path, source, publish, key):
    for trial in killed_and_repeated(tmp_path, "requarantine", source, publish, key):
        assert trial["published"] == [[1, 1.0], [2, -1.0], [3, 1.0], [4, -2.0]], trial
        assert trial["aside"] == [*BAD, *BAD], trial


TWIN = """
import sys
from pathlib import Path
from ingestion.ledger import Ledger, ledger_spec
from mlops_assets.ingestion.publish import LoadOvertaken
one = Ledger(Path(sys.argv[1]), ledger_spec("grows", "append", key=[], rules=[{"name": "positive", "sql": f"balance >= {sys.argv[2]}"}]))
sys.stdin.readline()
try:
    one.again() if sys.argv[3] == "load" else one.requarantine()
except LoadOvertaken as error:
    print(error)
    raise SystemExit(3)
"""


def twins(root: Path, least: str, *steps: str) -> list[int]:
    """Run the steps in processes that begin at the same moment; return how each ended."""
    command = [sys.executable, "-c", TWIN, str(root), least]
    running = [subprocess.Popen([*command, step], env=ENVIRON, cwd=ROOT, stdin=subprocess.PIPE) for step in steps]
    for one in running:
        assert one.stdin is not None
        one.stdin.write(b"go\n")
        one.stdin.flush()
    return [one.wait(120) for one in running]


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_two_first_loads_at_once_leave_every_row_once_and_the_loser_says_so(tmp_path, attempt):
    one = Ledger(tmp_path, ledger_spec("grows", "append", key=[]))
    rows = [row(key, key, -1.0 if key % 50 == 0 else 1.0) for key in range(1, 2001)]
    one.write(*rows)
    ended = twins(tmp_path, "0", "load", "load")
    assert 0 in ended, attempt
    assert set(ended) <= {0, 3}
    one.again(spec=ledger_spec("grows", "append", key=[], rules=[{"name": "positive", "sql": "balance >= 0"}]))
    assert one.published == sorted((each for each in rows if each["balance"] == 1.0), key=repr)
    assert one.aside == sorted((each for each in rows if each["balance"] == -1.0), key=repr)


@pytest.mark.slow
def test_two_releases_and_a_load_at_once_leave_every_row_once(tmp_path):
    strict = ledger_spec("grows", "append", key=[], rules=[{"name": "positive", "sql": "balance >= 0"}])
    one = Ledger(tmp_path, strict)
    rows = [row(key, key, float(-(key % 2))) for key in range(1, 1001)]
    one.load(*rows)
    one.write(*rows, row(5000, 5000))
    ended = twins(tmp_path, "-10", "requarantine", "requarantine", "load")
    assert set(ended) <= {0, 3}
    one.again(spec=strict)
    assert one.published == sorted([*rows, row(5000, 5000)], key=repr)
    assert one.aside == []


def test_a_load_that_another_one_overtakes_publishes_nothing_and_the_next_loses_nothing(tmp_path, monkeypatch):
    """The rival, a process of its own, runs while the source is being read."""
    one = Ledger(tmp_path, ledger_spec("grows", "append", key=[]))
    one.load(row(1, 1))
    one.write(row(1, 1), row(2, 2))
    read = pq.read_table

    def overtaken(path):
        monkeypatch.setattr(source.pq, "read_table", read)
        assert twins(tmp_path, "0", "load") == [0]
        return read(path)

    monkeypatch.setattr(source.pq, "read_table", overtaken)
    with pytest.raises(LoadOvertaken, match="found load 2 published by somebody else; required load 1"):
        one.again()
    assert one.published == [row(1, 1), row(2, 2)]
    one.load(row(1, 1), row(2, 2), row(3, 3))
    assert one.published == [row(1, 1), row(2, 2), row(3, 3)]
