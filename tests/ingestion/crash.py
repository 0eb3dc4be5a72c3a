"""One step of the ledger in a process that is killed (SIGKILL) at one line, and then once more to its end.

Run as a program: the heavy imports happen once, every trial is a fork of its own. Prints one JSON line a trial.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import deltalake  # noqa: F401  every fork would import it again, and the next two
import dlt  # noqa: F401
import duckdb  # noqa: F401
from ingestion.ledger import Ledger, ledger_spec, row

import mlops_assets
from mlops_assets.contract.spec import TableSpec

WATCHED = (
    "ingestion/ingest.py",
    "ingestion/publish.py",
    "ingestion/quarantine.py",
    "ingestion/requarantine.py",
    "lake/commit.py",
)
PACKAGE = str(Path(mlops_assets.__file__).parent)
STRICT = {"rules": [{"name": "positive", "sql": "balance >= 0"}]}
LOOSE = {"rules": [{"name": "positive", "sql": "balance >= -10"}]}
BEFORE = [row(1, 1), row(2, 2, -1.0), row(9, 2, -50.0)]
AFTER = [*BEFORE, row(3, 3), row(4, 4, -2.0), row(9, 5, -50.0)]


def in_fork(work: Callable[[], None]) -> int:
    """Run in a child process and return how it ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


def killed_at(line: int, work: Callable[[], None]) -> Callable[[], None]:
    """Return the work in a process that dies when it is about to execute its n-th line of the watched modules."""
    executed = 0

    def trace(frame: FrameType, event: str, _: Any):
        nonlocal executed
        if not frame.f_code.co_filename.startswith(PACKAGE) or not frame.f_code.co_filename.endswith(WATCHED):
            return None
        if event == "line":
            executed += 1
            if executed == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def traced() -> None:
        sys.settrace(trace)
        work()
        sys.settrace(None)
        Path(os.environ["LINES"]).write_text(str(executed))

    return traced


def step(one: Ledger, what: str, source: str, publish: str, table: dict[str, Any]) -> Callable[[], None]:
    if what == "load":
        return lambda: one.again() and None
    return lambda: one.requarantine(ledger_spec(source, publish, **{**table, **LOOSE})) and None


def main(folder: Path, what: str, source: str, publish: str, key: list[str], trials: int) -> None:
    table = {"key": key, **STRICT}
    spec = ledger_spec(source, publish, **table)
    assert isinstance(spec.tables["accounts"], TableSpec)
    start = Ledger(folder / "start", spec)
    os.environ["LINES"] = str(folder / "lines")
    assert in_fork(lambda: start.load(*BEFORE) and None) == 0
    if what == "requarantine":
        assert in_fork(lambda: start.load(*AFTER) and None) == 0
    start.write(*AFTER)
    in_fork(killed_at(0, step(trial(folder, 0, spec), what, source, publish, table)))
    lines = int((folder / "lines").read_text())
    for number in range(trials):
        line = 1 + round(number * (lines - 1) / max(1, trials - 1))
        one = trial(folder, line, spec)
        ended = in_fork(killed_at(line, step(one, what, source, publish, table)))
        again = in_fork(step(one, what, source, publish, table))
        in_fork(lambda one=one, line=line, ended=ended, again=again: report(one, line, ended, again))


def trial(folder: Path, line: int, spec: Any) -> Ledger:
    shutil.rmtree(folder / str(line), ignore_errors=True)
    shutil.copytree(folder / "start", folder / str(line))
    return Ledger(folder / str(line), spec)


def report(one: Ledger, line: int, ended: int, again: int) -> None:
    rows = {"published": one.published, "aside": one.aside}
    plain = {name: [[each["id"], each["balance"]] for each in found] for name, found in rows.items()}
    sys.stdout.write(json.dumps({"line": line, "killed": os.WTERMSIG(ended), "again": again, **plain}) + "\n")


if __name__ == "__main__":
    place, what, source, publish, key, trials = sys.argv[1:]
    main(Path(place), what, source, publish, key.split(",") if key else [], int(trials))
