"""Commits that are planned on what is there: the loser of a race plans again."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.tables import (
    PARTITIONED,
    commit_properties,
    in_window,
    overwrite,
    predicate_of,
    read,
    replace_window,
    windows,
)

ROOT = Path(__file__).parents[2]


def ids(*numbers: int) -> pa.Table:
    return pa.table({"id": pa.array(numbers, pa.int64())})


def racing(uri: str, rival: Write, mine, times: int = 1):
    """Return a plan that a rival overtakes so many times between its reading and its commit."""
    left, seen = iter(range(times)), []

    def plan(version):
        seen.append(version)
        if next(left, None) is not None:
            commit(uri, lambda _: rival)
        return mine(version)

    return plan, seen


@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("there_before", [True, False])
def test_an_exclusive_write_never_lands_on_what_it_has_not_seen(place, adds, there_before):
    uri = f"{place}/t"
    if there_before:
        overwrite(uri, ids(1))

    def mine(version):
        held = read(uri, version=version)["id"].to_pylist() if version is not None else []
        return None if 2 in held else Write(ids(2), adds=adds)

    plan, seen = racing(uri, Write(ids(2), adds=True), mine)
    commit(uri, plan)

    assert sorted(read(uri)["id"].to_pylist()) == ([1, 2] if there_before else [2])
    assert len(seen) == 2


def test_a_plan_may_find_nothing_to_do_and_then_no_table_is_made(place):
    uri = f"{place}/t"
    assert commit(uri, lambda _: None) is None
    version = overwrite(uri, ids(1))
    assert commit(uri, lambda _: None) == version
    assert windows(uri, version) == []


def test_a_commit_may_carry_facts_alone(place):
    uri = f"{place}/t"
    overwrite(uri, ids(1))
    version = commit(uri, lambda _: Write(ids(), adds=True, properties={"load": "7"}))
    assert read(uri)["id"].to_pylist() == [1]
    assert version is not None
    assert commit_properties(uri, version) == {"load": "7"}


def test_the_newest_facts_are_found_behind_commits_of_others(place):
    from deltalake import write_deltalake

    uri = f"{place}/t"
    overwrite(uri, ids(1), properties={"load": "7"})
    write_deltalake(uri, ids(2), mode="append")
    write_deltalake(uri, ids(3), mode="append")
    assert commit_properties(uri, 3) == {"load": "7"}
    assert commit_properties(uri, 0) == {}


def test_several_windows_are_replaced_in_one_commit(place):
    uri = f"{place}/t"
    for window in ("a", "b", "it's"):
        replace_window(uri, ids(1), window=window)
    write = Write(in_window(ids(5), "b"), predicate=predicate_of(["a", "b", "it's"]), partition_by=PARTITIONED)
    version = commit(uri, lambda _: write)
    assert version is not None
    assert windows(uri, version) == ["b"]
    assert read(uri)["id"].to_pylist() == [5]


COUNTER = """
import sys
import pyarrow as pa
from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.tables import read

def next_number(version):
    held = read(sys.argv[1], version=version)["id"].to_pylist() if version is not None else []
    return Write(pa.table({"id": pa.array([len(held)], pa.int64())}), adds=True)

sys.stdin.readline()
for _ in range(8):
    commit(sys.argv[1], next_number)
"""


@pytest.mark.slow
def test_two_processes_that_count_together_from_an_absent_table_miss_no_number_and_write_none_twice(place):
    command = [sys.executable, "-c", COUNTER, f"{place}/t"]
    counters = [subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) for _ in range(2)]
    for counter in counters:
        assert counter.stdin is not None
        counter.stdin.write(b"go\n")
        counter.stdin.flush()
    assert [counter.wait(120) for counter in counters] == [0, 0]
    assert sorted(read(f"{place}/t")["id"].to_pylist()) == list(range(16))
