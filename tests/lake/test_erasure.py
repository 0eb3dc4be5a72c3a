"""Somebody's rows out of a table and its past: searched for afterwards in every byte of every file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.lake.commit import Write, commit
from mlops_assets.lake.erasure import erase_past, erase_rows, find_delta, held_rows
from mlops_assets.lake.tables import commit_properties, overwrite, read, replace_window

NOW = datetime.now(UTC)
WHO = {"customer": "zz-person"}


def rows(*customers):
    return pa.table({"customer": list(customers), "n": list(range(len(customers)))})


def traces(folder: Path, value: str) -> list[str]:
    """Return every file with the value: in a cell of a Parquet file, or anywhere in the bytes of any file."""
    found = []
    for file in folder.rglob("*"):
        if file.is_file():
            cells = pq.read_table(file, partitioning=None).to_pylist() if file.suffix == ".parquet" else []
            if value in repr(cells) or value.encode() in file.read_bytes():
                found.append(str(file))
    return found


@pytest.fixture
def windows(tmp_path):
    uri = str(tmp_path / "raw" / "shop" / "orders")
    for n in range(12):  # a checkpoint is written on the way
        replace_window(uri, rows("ann", "zz-person", f"c{n}"), window=f"w{n % 3}")
    replace_window(uri, rows("bob"), window="w9")
    return uri


def test_no_file_holds_them_afterwards_and_everybody_else_is_there(windows, tmp_path):
    before = [row for row in read(windows).to_pylist() if row["customer"] != "zz-person"]
    held = held_rows(windows, WHO)
    assert (held.rows, len(held.files)) == (3, 12)

    erase_rows(windows, WHO, keeps_facts=True)
    assert held_rows(windows, WHO).rows == 0
    assert traces(tmp_path, "zz-person")  # the past still has them
    erase_past(windows, now=NOW)

    assert traces(tmp_path, "zz-person") == []
    assert held_rows(windows, WHO).files == ()
    assert read(windows).to_pylist() == before
    replace_window(windows, rows("eve"), window="w1")
    assert sorted(read(windows)["customer"].to_pylist()) == ["ann", "ann", "bob", "c11", "c9", "eve"]


def test_a_table_without_windows_keeps_its_facts_if_it_may(tmp_path):
    uri = str(tmp_path / "t")
    for _ in range(2):
        overwrite(uri, rows("ann", "zz-person"), properties={"cursor": "7"})
    erase_rows(uri, WHO, keeps_facts=True)
    erase_past(uri, now=NOW)
    assert read(uri)["customer"].to_pylist() == ["ann"]
    assert commit_properties(uri, 3) == {"cursor": "7"}
    assert traces(tmp_path, "zz-person") == []


def test_numbers_are_compared_as_text_and_all_columns_must_agree(tmp_path):
    uri = str(tmp_path / "t")
    overwrite(uri, pa.table({"customer": [7, 7, 8, None], "shop": ["a", "b", "a", "a"]}))
    erase_rows(uri, {"customer": "7", "shop": "a"}, keeps_facts=False)
    assert read(uri).to_pylist() == [
        {"customer": 7, "shop": "b"}, {"customer": 8, "shop": "a"}, {"customer": None, "shop": "a"}
    ]  # fmt: skip


def test_a_table_without_the_column_is_none_of_theirs(tmp_path):
    uri = str(tmp_path / "t")
    overwrite(uri, pa.table({"n": [1]}))
    assert held_rows(uri, WHO) is None
    assert find_delta(str(tmp_path)) == [uri]


def test_what_a_running_writer_has_not_committed_stays_for_a_day(tmp_path):
    uri = str(tmp_path / "t")
    overwrite(uri, rows("ann"))
    pq.write_table(rows("zz-person"), Path(uri, "part-of-a-write.parquet"))
    assert held_rows(uri, WHO).files == (f"{uri}/part-of-a-write.parquet",)
    assert erase_past(uri, now=NOW) == 0
    assert erase_past(uri, now=NOW + timedelta(days=2)) == 1


def test_a_concurrent_append_is_not_lost(tmp_path):
    uri = str(tmp_path / "t")
    overwrite(uri, rows("ann", "zz-person"))
    commit(uri, lambda _: Write(rows("bob"), adds=True))
    erase_rows(uri, WHO, keeps_facts=True)
    assert sorted(read(uri)["customer"].to_pylist()) == ["ann", "bob"]
