"""Upkeep: fewer files with the same rows, every version that counts still readable, and no writer disturbed."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.files import list_files, write_bytes
from mlops_assets.lake.maintenance import Policy, find_tables, maintain
from mlops_assets.lake.tables import (
    PARTITIONED,
    commit_properties,
    in_window,
    overwrite,
    read,
    replace_window,
    snapshot,
)

ROOT = Path(__file__).parents[2]
NOW = timedelta(0)
AT_ONCE = Policy(NOW, small_files=2)
MONTH = 30 * 86_400


def ids(*numbers: int) -> pa.Table:
    return pa.table({"id": pa.array(numbers, pa.int64())})


def append(uri: str, table: pa.Table, window: str | None = None, **facts: str) -> None:
    rows, partitions = (in_window(table, window), PARTITIONED) if window else (table, ())
    commit(uri, lambda _: Write(rows, adds=True, partition_by=partitions, properties=facts))


def upkeep(root, policy=AT_ONCE, **keep: set[int]):
    return {one.table: one for one in maintain(str(root), keep, policy)}


def parquet(uri: str) -> set[str]:
    return {file for file in list_files(uri) if file.endswith(".parquet") and "_delta_log" not in file}


def grow_old(uri: str, seconds: float = MONTH) -> None:
    for path in Path(uri).rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_every_table_below_the_root_is_found_and_nothing_else(place):
    for name in ("raw/shop/orders", "features/customer", "predictions/returns"):
        replace_window(f"{place}/{name}", ids(1), window="a")
    write_bytes(f"{place}/verdicts/shop/orders.json", b"{}")
    write_bytes(f"{place}/routing.json", b"{}")
    assert list(find_tables(place)) == ["features/customer", "predictions/returns", "raw/shop/orders"]
    assert list(find_tables(f"{place}/nowhere")) == []


@settings(max_examples=15)
@given(
    appends=st.lists(
        st.tuples(
            st.sampled_from(["a", "it's", "2013-01-13-05:00", "50% +x/ü"]), st.lists(st.integers(0, 9), max_size=3)
        ),
        max_size=9,
    )
)
def test_compaction_changes_neither_rows_nor_their_order(tmp_path_factory, appends):
    root = tmp_path_factory.mktemp("lake")
    uri = f"{root}/t"
    replace_window(uri, ids(1), window="a")
    for window, numbers in appends:
        append(uri, ids(*numbers), window)
    before = read(uri)
    done = upkeep(root)["t"]
    assert read(uri).equals(before)
    crowded = {
        w for w in {"a", *(w for w, _ in appends)} if (w == "a") + sum(w == x and bool(n) for x, n in appends) > 2
    }
    assert set(done.compacted) == crowded
    for window in crowded:
        assert len(snapshot(uri, window=window).files) == 1


def test_a_table_without_windows_is_compacted_with_its_facts(place):
    uri = f"{place}/t"
    for number in range(4):
        append(uri, ids(number), load=str(number))
    before = read(uri)
    assert upkeep(place)["t"].compacted == {"": 4}
    assert read(uri).equals(before)
    assert len(snapshot(uri).files) == 1
    assert commit_properties(uri, snapshot(uri).version) == {"load": "3"}


def test_few_files_and_full_ones_stay_as_they_are(tmp_path, monkeypatch):
    uri = f"{tmp_path}/t"
    append(uri, ids(1))
    append(uri, ids(2))
    version = snapshot(uri).version
    assert upkeep(tmp_path)["t"].compacted == {}
    append(uri, ids(3))
    monkeypatch.setattr("mlops_assets.lake.maintenance.SMALL_BYTES", 1)
    assert upkeep(tmp_path)["t"].compacted == {}
    assert snapshot(uri).version == version + 1


def test_every_kept_version_reads_row_for_row_and_what_nobody_needs_is_gone(place):
    uri = f"{place}/raw/shop/orders"
    versions = [replace_window(uri, ids(n, n + 1), window=f"w{n % 3}") for n in range(12)]
    append(uri, ids(90), "w0")
    append(uri, ids(91), "w0")
    kept = {versions[1], versions[7], versions[11]}
    expected = {version: read(uri, version=version) for version in [*kept, snapshot(uri).version]}
    needed = {file for version in expected for file in snapshot(uri, version).files}

    done = upkeep(place, **{"raw/shop/orders": kept})["raw/shop/orders"]

    assert done.kept == tuple(sorted(kept))
    assert set(done.compacted) == {"w0"}
    for version, rows in expected.items():
        if version in kept:
            assert read(uri, version=version).equals(rows)
    assert read(uri).equals(expected[max(expected)])
    kept_files = {file for version in kept for file in snapshot(uri, version).files}
    assert parquet(uri) == kept_files | set(snapshot(uri).files)
    assert len(done.removed) == 14 - len(needed) + 2  # of 14 writes; the two appends are inside the compacted file
    with pytest.raises((duckdb.Error, OSError), match=r"No files found|No such file|not exist|\.parquet"):
        read(uri, version=versions[4])


def test_recent_files_stay_for_whoever_opened_an_older_version(tmp_path):
    uri = f"{tmp_path}/t"
    first = overwrite(uri, ids(1))
    overwrite(uri, ids(2))
    assert upkeep(tmp_path, Policy(timedelta(days=7)))["t"].removed == ()
    assert read(uri, version=first)["id"].to_pylist() == [1]


def test_the_facts_of_the_newest_commit_are_found_behind_a_vacuum(place):
    uri = f"{place}/t"
    overwrite(uri, ids(1))
    version = overwrite(uri, ids(2), properties={"definition": "abc"})
    upkeep(place)
    assert snapshot(uri).version > version
    assert commit_properties(uri, snapshot(uri).version) == {"definition": "abc"}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(place):
    uri = f"{place}/t"
    overwrite(uri, ids(0))
    overwrite(uri, ids(0))
    for number in range(3):
        append(uri, ids(number))
    files, version = parquet(uri), snapshot(uri).version
    said = upkeep(place, Policy(NOW, small_files=2, dry_run=True))["t"]
    assert (parquet(uri), snapshot(uri).version) == (files, version)
    assert said.compacted == {"": 4}
    assert len(said.removed) == 1
    done = upkeep(place)["t"]
    assert done.compacted == said.compacted
    assert set(said.removed) < set(done.removed)


def test_a_second_run_finds_nothing_to_do_and_makes_no_version(place):
    uri = f"{place}/t"
    for number in range(4):
        append(uri, ids(number))
    upkeep(place)
    version = snapshot(uri).version
    again = upkeep(place)["t"]
    assert (again.compacted, again.removed, snapshot(uri).version) == ({}, (), version)


def test_what_a_killed_writer_left_goes_when_it_is_old_and_stays_while_it_may_be_committed(tmp_path):
    uri = f"{tmp_path}/t"
    for window in ("2013-01-13-05:00", "it's", "50% +x/ü"):
        replace_window(uri, ids(1), window=window)
    grow_old(uri)
    old, young = Path(uri) / "_window=a" / "old.parquet", Path(uri) / "_window=a" / "young.parquet"
    old.parent.mkdir()
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - MONTH,) * 2)

    assert upkeep(tmp_path)["t"].removed == ()
    assert upkeep(tmp_path, Policy(timedelta(days=1)))["t"].removed == ("_window=a/old.parquet",)

    assert not old.exists()
    assert young.exists()
    assert read(uri)["id"].to_pylist() == [1, 1, 1]


def test_a_reference_to_a_version_that_is_not_there_is_no_obstacle(tmp_path):
    uri = f"{tmp_path}/t"
    overwrite(uri, ids(1))
    overwrite(uri, ids(2))
    assert len(upkeep(tmp_path, t={99})["t"].removed) == 1


def test_a_table_that_cannot_be_read_whole_is_left_alone_and_the_others_are_kept_up(tmp_path):
    from deltalake import write_deltalake

    foreign = pa.table({"id": [1], "day": ["a"]})
    for _ in range(4):
        write_deltalake(f"{tmp_path}/a", foreign, mode="append", partition_by=["day"])
        append(f"{tmp_path}/b", ids(1))
    done = upkeep(tmp_path)
    assert "partition column day" in done["a"].skipped
    assert len(parquet(f"{tmp_path}/a")) == 4
    assert done["b"].compacted == {"": 4}


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda: Write(in_window(ids(9), "a"), predicate="_window in ('a')", exclusive=False), [9]),
        (lambda: Write(in_window(ids(9), "a"), predicate="true", exclusive=False), [9]),
        (lambda: Write(in_window(ids(9), "a"), schema_mode="overwrite"), [9]),
        (lambda: Write(in_window(ids(9), "a"), schema_mode="overwrite", exclusive=False), [9]),
        (lambda: Write(in_window(ids(9), "a"), adds=True), [0, 1, 2, 9]),
        (lambda: Write(in_window(ids(9), "a"), adds=True, exclusive=False), [0, 1, 2, 9]),
    ],
)
def test_a_write_that_a_compaction_overtakes_means_the_compacted_rows_too(tmp_path, write, expected):
    for number in range(3):
        append(f"{tmp_path}/t", ids(number), "a")
    overtakes = iter([True])

    def plan(_):
        if next(overtakes, False):
            assert upkeep(tmp_path)["t"].compacted
        return write()

    commit(f"{tmp_path}/t", plan)
    assert sorted(read(f"{tmp_path}/t")["id"].to_pylist()) == expected


MAINTAINER = """
import sys
import deltalake, duckdb, pyarrow.parquet
from datetime import timedelta
from mlops_assets.lake.files import list_files, write_bytes
from mlops_assets.lake.maintenance import Policy, maintain
print("ready", flush=True)
while True:
    list(maintain(sys.argv[1], {}, Policy(timedelta(0), small_files=1)))
    print("round", flush=True)
"""
WRITER = """
import sys
import pyarrow as pa
from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.tables import overwrite, read, replace_window
root = sys.argv[1]
for n in range(20):
    rows = pa.table({"id": pa.array([n] * 3, pa.int64())})
    commit(f"{root}/appended", lambda _: Write(rows, adds=True))
    replace_window(f"{root}/windows", rows, window=f"w{n % 3}")
    overwrite(f"{root}/whole", rows, properties={"n": str(n)})
"""


def start(code: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def wait_for_line(process: subprocess.Popen) -> None:
    assert process.stdout is not None
    assert process.stdout.readline(), "it ended"


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_while_another_process_maintains(tmp_path):
    maintainer = start(MAINTAINER, tmp_path)
    try:
        wait_for_line(maintainer)
        assert start(WRITER, tmp_path).wait(120) == 0
        wait_for_line(maintainer)
        assert maintainer.poll() is None
    finally:
        maintainer.kill()
        maintainer.wait()
    upkeep(tmp_path, Policy(NOW, small_files=1))
    assert sorted(read(f"{tmp_path}/appended")["id"].to_pylist()) == sorted([*range(20)] * 3)
    assert sorted(read(f"{tmp_path}/windows")["id"].to_pylist()) == [17] * 3 + [18] * 3 + [19] * 3
    assert read(f"{tmp_path}/whole")["id"].to_pylist() == [19] * 3
    assert commit_properties(f"{tmp_path}/whole", snapshot(f"{tmp_path}/whole").version) == {"n": "19"}
    for name in ("appended", "windows", "whole"):
        assert parquet(f"{tmp_path}/{name}") == set(snapshot(f"{tmp_path}/{name}").files)


@pytest.mark.slow
def test_a_maintainer_killed_at_any_moment_leaves_every_kept_version_readable(tmp_path):
    uri = f"{tmp_path}/t"
    kept: dict[int, pa.Table] = {}
    for attempt in range(12):
        for number in range(4):
            append(uri, ids(attempt, number), f"w{number % 2}")
            replace_window(uri, ids(attempt), window="x")
        version = snapshot(uri).version
        kept[version] = read(uri)
        code = MAINTAINER.replace("{}", repr({"t": set(kept)}))
        maintainer = start(code, tmp_path)
        wait_for_line(maintainer)
        time.sleep(0.015 * attempt)
        maintainer.kill()
        maintainer.wait()
        for version, rows in kept.items():
            assert read(uri, version=version).equals(rows)
        assert read(uri).equals(kept[max(kept)])
    upkeep(tmp_path, t=set(kept))
    assert len(snapshot(uri).files) == 3
