"""Loads in one process, upkeep in another: every row is there once, and the cursor has not lost its place."""

import subprocess
import sys
from pathlib import Path

import pytest
from ingestion.ledger import Ledger, ledger_spec, row

from mlops_assets.lake.tables import read, snapshot

ROOT = Path(__file__).parents[2]
LOADS, ROWS = 6, 5
LOADER = """
import sys
sys.path.insert(0, "tests")
from pathlib import Path
from ingestion.ledger import Ledger, ledger_spec, row
root, publish, loads, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
ledger = Ledger(root, ledger_spec("grows", publish))
sys.stdin.readline()
seen = []
for load in range(loads):
    keys = range(load * rows, (load + 1) * rows) if publish == "append" else range(rows)
    seen += [row(key, load * rows + n + 1, float(load)) for n, key in enumerate(keys)]
    ledger.load(*seen)
"""
MAINTAINER = """
import sys
import deltalake, duckdb
from mlops_assets.assets.maintenance import MaintenanceConfig, maintain_lake
print("ready", flush=True)
while True:
    if any(done.compacted for done in maintain_lake(sys.argv[1], MaintenanceConfig(small_files=1))):
        print("compacted", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("publish", ["append", "history", "upsert"])
def test_loads_beside_maintenance_lose_and_double_nothing(tmp_path, monkeypatch, publish):
    monkeypatch.setenv("LEDGER", "")  # set again by every Ledger
    ledger = Ledger(tmp_path, ledger_spec("grows", publish))
    command = [sys.executable, "-c", LOADER, str(tmp_path), publish, str(LOADS), str(ROWS)]
    loader = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    maintainer = subprocess.Popen([sys.executable, "-c", MAINTAINER, ledger.lake], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert maintainer.stdout is not None
        assert maintainer.stdout.readline() == b"ready\n"
        loader.communicate(b"go\n", timeout=120)
        assert loader.returncode == 0
        if publish != "upsert":  # which rewrites its one file anyway
            assert maintainer.stdout.readline() == b"compacted\n"
        assert maintainer.poll() is None
    finally:
        maintainer.kill()
        maintainer.wait()
    rows = sorted((one["id"], one["balance"]) for one in read(ledger.uri).to_pylist())
    expected = {
        "append": [(key, float(key // ROWS)) for key in range(LOADS * ROWS)],
        "history": [(key, float(load)) for key in range(ROWS) for load in range(LOADS)],
        "upsert": [(key, LOADS - 1.0) for key in range(ROWS)],
    }
    assert rows == expected[publish]
    version = snapshot(ledger.uri).version
    ledger.again()  # nothing new behind the cursor
    assert snapshot(ledger.uri).version == version
    ledger.load(row(99, 10_000, 9.0))
    assert len(read(ledger.uri)) == len(rows) + 1
