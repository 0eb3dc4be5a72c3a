"""Delta tables: windows replaced exactly, versions kept, mistakes refused, and writers that race or die."""

import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.lake.commit import ColumnTypeChanged
from mlops_assets.lake.delta import TableNotFound, UnhandledFeature
from mlops_assets.lake.files import list_files
from mlops_assets.lake.tables import commit_properties, exists, overwrite, read, replace_window, snapshot

ROOT = Path(__file__).parents[2]


def rows(*values: int) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64()), "name": pa.array([f"n{v}" for v in values], pa.string())})


@settings(max_examples=25)
@given(
    writes=st.lists(
        st.tuples(st.sampled_from(["2013-01-06", "2013-01-13-05:00", "it's"]), st.lists(st.integers(0, 9), max_size=4)),
        max_size=6,
    )
)
def test_a_window_holds_what_was_written_to_it_last(tmp_path_factory, writes):
    uri = f"{tmp_path_factory.mktemp('a lake')}/raw/shop/orders"
    expected: dict[str, list[int]] = {}
    for window, values in writes:
        replace_window(uri, rows(*values), window=window)
        expected[window] = values
    for window, values in expected.items():
        assert read(uri, window=window)["id"].to_pylist() == values
    if writes:
        assert sorted(read(uri)["id"].to_pylist()) == sorted(v for values in expected.values() for v in values)


def test_rows_come_back_in_order_of_window_and_without_the_hidden_column(place):
    uri = f"{place}/t"
    for window, value in (("c", 3), ("a", 1), ("b", 2)):
        replace_window(uri, rows(value), window=window)
    assert read(uri).to_pydict() == {"id": [1, 2, 3], "name": ["n1", "n2", "n3"]}
    assert read(uri, columns=["name"]).column_names == ["name"]
    assert snapshot(uri).partition_columns == ("_window",)


def test_an_earlier_version_reads_as_it_was(place):
    uri = f"{place}/t"
    first = replace_window(uri, rows(1, 2), window="a")
    second = replace_window(uri, rows(3), window="a")
    assert read(uri, version=first)["id"].to_pylist() == [1, 2]
    assert read(uri, version=second)["id"].to_pylist() == [3]
    with pytest.raises(TableNotFound, match="at version"):
        read(uri, version=second + 1)


def test_an_earlier_version_reads_as_it_was_behind_checkpoints(place):
    uri = f"{place}/t"
    versions = [replace_window(uri, rows(n), window=f"{n % 3}") for n in range(25)]
    for n in (0, 9, 11, 24):
        assert sorted(read(uri, version=versions[n])["id"].to_pylist()) == list(range(max(0, n - 2), n + 1))


def test_a_missing_table_is_named_and_asking_leaves_nothing_behind(place):
    uri = f"{place}/raw/none"
    assert not exists(uri)
    with pytest.raises(TableNotFound, match="raw/none: found no table"):
        read(uri)
    assert list_files(place) == []


def test_an_empty_table_is_created_and_an_empty_window_deletes_rows(place):
    uri = f"{place}/t"
    replace_window(uri, rows(), window="a")
    assert read(uri).schema.equals(rows().schema)
    replace_window(uri, rows(1), window="a")
    replace_window(uri, rows(), window="a")
    assert read(uri).num_rows == 0


def test_a_new_column_is_null_in_older_windows_also_when_no_file_holds_it_any_more(place):
    uri = f"{place}/t"
    replace_window(uri, rows(1), window="a")
    replace_window(uri, rows(2).append_column("price", pa.array([2.5])), window="b")
    assert read(uri)["price"].to_pylist() == [None, 2.5]
    replace_window(uri, rows(3), window="b")
    assert read(uri).to_pydict() == {"id": [1, 3], "name": ["n1", "n3"], "price": [None, None]}


def test_a_changed_type_is_refused_and_the_table_keeps_its_rows(place):
    uri = f"{place}/t"
    version = replace_window(uri, rows(1), window="a")
    changed = rows(2).set_column(0, "id", pa.array(["two"]))
    with pytest.raises(ColumnTypeChanged, match="column id: found type string; required long"):
        replace_window(uri, changed, window="a")
    assert snapshot(uri).version == version
    assert read(uri)["id"].to_pylist() == [1]


def test_types_that_other_readers_may_not_know_are_stored_plainly(place):
    uri = f"{place}/t"
    at = pa.array([1_500, None], pa.timestamp("ns", "UTC"))
    overwrite(uri, pa.table({"at": at, "kind": pa.array(["a", None]).dictionary_encode()}))
    stored = read(uri)
    assert stored.schema.types == [pa.timestamp("us", "UTC"), pa.string()]
    assert stored["at"].cast(pa.int64()).to_pylist() == [1, None]


def test_overwrite_replaces_everything_and_keeps_its_facts(place):
    uri = f"{place}/features/f"
    first = overwrite(uri, rows(1, 2), properties={"definition": "abc"})
    second = overwrite(uri, rows(9).select(["id"]))
    assert read(uri).to_pydict() == {"id": [9]}
    assert commit_properties(uri, first) == {"definition": "abc"}
    assert commit_properties(uri, second) == {}
    with pytest.raises(TableNotFound):
        commit_properties(uri, 99)


def test_tables_that_a_list_of_files_cannot_express_are_refused(place):
    from deltalake import DeltaTable, write_deltalake

    partitioned, vectors = f"{place}/p", f"{place}/v"
    write_deltalake(partitioned, rows(1), partition_by=["name"])
    with pytest.raises(UnhandledFeature, match="partition column name"):
        snapshot(partitioned)
    DeltaTable.create(vectors, rows().schema, configuration={"delta.enableDeletionVectors": "true"})
    with pytest.raises(UnhandledFeature, match="deletionVectors"):
        read(vectors)


WRITER = """
import sys
import pyarrow as pa
from mlops_assets.lake.tables import {function}
name, uri = sys.argv[1:]
table = pa.table({{"id": list(range(2000)), "writer": [name] * 2000}})
sys.stdin.readline()
for _ in range(8):
    {function}(uri, table{arguments})
"""


def race(uri: str, function: str, arguments: list[str]) -> None:
    """Start one process per argument, let them write the same place at the same moment, and wait for all."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER.format(function=function, arguments=argument), str(number), uri],
            stdin=subprocess.PIPE,
            cwd=ROOT,
        )
        for number, argument in enumerate(arguments)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert [writer.wait(120) for writer in writers] == [0] * len(writers)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_two_processes_that_write_the_same_window_of_an_empty_lake_leave_every_row_once(place, attempt):
    uri = f"{place}/{attempt}"
    race(uri, "replace_window", [", window='w'"] * 2)
    table = read(uri)
    assert table["id"].to_pylist() == list(range(2000))
    assert len(set(table["writer"].to_pylist())) == 1


@pytest.mark.slow
def test_processes_that_write_different_windows_of_an_empty_lake_all_succeed(place):
    race(f"{place}/t", "replace_window", [", window='a'", ", window='b'", ", window='c'"])
    assert sorted(read(f"{place}/t")["id"].to_pylist()) == sorted(list(range(2000)) * 3)


@pytest.mark.slow
def test_two_processes_that_overwrite_an_absent_table_leave_every_row_once(place):
    race(f"{place}/t", "overwrite", [""] * 2)
    assert read(f"{place}/t")["id"].to_pylist() == list(range(2000))


SLOW_WRITER = """
import sys
import numpy as np
import pyarrow as pa
from mlops_assets.lake.tables import replace_window
replace_window(sys.argv[1], pa.table({"id": np.random.default_rng(0).integers(0, 2**62, 4_000_000)}), window="w")
"""


def unpublished(uri: str, published: set[Path]) -> list[Path]:
    return [path for path in Path(uri).rglob("*parquet*") if path not in published]


@pytest.mark.parametrize("written", [0, 1_000_000, 10_000_000])
@pytest.mark.parametrize("before", [[], [1, 2, 3]])
def test_a_writer_killed_in_the_middle_leaves_what_was_there_and_the_next_one_works(tmp_path, written, before):
    uri = f"{tmp_path}/t"
    if before:
        replace_window(uri, pa.table({"id": before}), window="w")
    published = set(Path(uri).rglob("*parquet*"))
    writer = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, uri], cwd=ROOT)
    while not (files := unpublished(uri, published)) or sum(file.stat().st_size for file in files) < written:
        assert writer.poll() is None
        time.sleep(0.001)
    writer.kill()
    writer.wait()
    assert unpublished(uri, published)
    assert read(uri)["id"].to_pylist() == before
    replace_window(uri, pa.table({"id": [7]}), window="w")
    assert read(uri)["id"].to_pylist() == [7]
