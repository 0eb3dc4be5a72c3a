import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake.exceptions import CommitFailedError

from mlops_assets.lake.commit import ColumnTypeChanged
from mlops_assets.lake.files import list_files
from mlops_assets.lake.maintenance import Policy, maintain
from mlops_assets.lake.staged import StagedWindow
from mlops_assets.lake.tables import exists, newest_version, read, replace_window, snapshot, windows


def rows(*ids: int, **extra: list[object]) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), **extra})


def stage(uri: str, window: str, *parts: pa.Table) -> StagedWindow:
    staged = StagedWindow(uri, window, parts[0].schema)
    for part in parts:
        staged.write(part)
    return staged


def ids(uri: str, window: str | None = None) -> list[int]:
    return read(uri, window=window)["id"].to_pylist()


def test_parts_become_one_window_in_one_commit_in_their_order(place):
    staged = stage(place, "2013-05-19", rows(3, 1), rows(2))
    assert not exists(place)
    assert staged.publish() == 1
    assert ids(place) == [3, 1, 2]
    assert windows(place, 1) == ["2013-05-19"]


def test_nothing_is_visible_until_it_is_published_and_then_the_window_is_replaced(place):
    stage(place, "a", rows(1)).publish()
    stage(place, "b", rows(2)).publish()
    staged = stage(place, "a", rows(7, 8))
    assert ids(place) == [1, 2]
    version = staged.publish()
    assert newest_version(place) == version
    assert (ids(place, "a"), ids(place, "b")) == ([7, 8], [2])


def test_what_is_dropped_leaves_nothing(place):
    stage(place, "a", rows(1)).publish()
    before = list_files(place)
    stage(place, "a", rows(2)).discard()
    assert list_files(place) == before
    assert ids(place) == [1]


@pytest.mark.parametrize("window", ["2013-05-19-07:00", "a b", "ä%3A/x=1"])
def test_windows_of_any_name_are_found_and_replaced_by_either_way_of_writing(place, window):
    stage(place, window, rows(1)).publish()
    replace_window(place, rows(2), window=window)
    stage(place, window, rows(3)).publish()
    assert ids(place) == ids(place, window) == [3]
    assert len(snapshot(place).files) == 1


def test_a_window_without_rows_is_emptied(place):
    stage(place, "a", rows(1)).publish()
    stage(place, "b", rows(2)).publish()
    stage(place, "a", rows()).publish()
    assert ids(place) == [2]


def test_a_table_may_begin_with_a_window_without_rows(place):
    stage(place, "a", rows()).publish()
    assert read(place).schema.names == ["id"]


def test_a_new_column_is_null_in_older_windows_and_an_old_one_in_newer(place):
    stage(place, "a", rows(1, x=[0.5])).publish()
    stage(place, "b", rows(2, y=["new"])).publish()
    assert read(place).to_pylist() == [{"id": 1, "x": 0.5, "y": None}, {"id": 2, "x": None, "y": "new"}]


def test_a_column_of_another_type_is_refused_before_a_row_is_written(place):
    stage(place, "a", rows(1)).publish()
    before = list_files(place)
    with pytest.raises(ColumnTypeChanged):
        stage(place, "a", pa.table({"id": ["text"]}))
    assert list_files(place) == before


def test_types_are_those_of_a_table_that_is_committed_at_once(place):
    table = pa.table(
        {
            "at": pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("ns", "UTC")),
            "kind": pa.array(["x"]).dictionary_encode(),
            "shares": pa.array([[0.25, 0.75]], pa.list_(pa.float64())),
            "x": pa.array([0.1], pa.float32()),
        }
    )
    stage(f"{place}/staged", "a", table).publish()
    replace_window(f"{place}/whole", table, window="a")
    one, other = (read(f"{place}/{name}") for name in ("staged", "whole"))
    assert one.equals(other)
    assert snapshot(f"{place}/staged").schema == snapshot(f"{place}/whole").schema


def test_a_window_is_moved_to_another_table(place):
    stage(f"{place}/here", "a", rows(1)).publish()
    moved = stage(f"{place}/here", "a", rows(2)).move(f"{place}/there")
    moved.publish()
    assert (ids(f"{place}/here"), ids(f"{place}/there")) == ([1], [2])
    assert len([uri for uri in list_files(f"{place}/here") if uri.endswith(".parquet")]) == 1


@pytest.mark.parametrize("is_new", [True, False])
def test_twins_that_publish_one_window_at_once_leave_the_rows_of_one(place, is_new):
    if not is_new:
        stage(place, "a", rows(0)).publish()
    staged = [stage(place, "a", rows(number, number)) for number in range(1, 5)]
    threads = [threading.Thread(target=one.publish) for one in staged]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = ids(place)
    assert len(found) == 2
    assert found[0] == found[1] > 0


@pytest.mark.parametrize("is_new", [True, False])
def test_a_twin_that_planned_before_the_other_was_there_loses_and_plans_again(place, is_new):
    if not is_new:
        stage(place, "a", rows(0)).publish()
    first, second = stage(place, "a", rows(1)), stage(place, "a", rows(2))
    planned = second._table()
    first.publish()
    second._close()
    second._table = lambda: planned  # what it saw before the first was published
    with pytest.raises(CommitFailedError):
        second._commit()
    del second._table
    second.publish()
    assert ids(place) == [2]


def test_writers_of_several_windows_do_not_lose_one(place):
    staged = [stage(place, f"w{number}", rows(number)) for number in range(6)]
    threads = [threading.Thread(target=one.publish) for one in staged]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(place) == list(range(6))


def test_upkeep_removes_what_a_dead_writer_left_and_keeps_what_is_published(tmp_path: Path):
    uri = f"{tmp_path}/t"
    stage(uri, "a", rows(1)).publish()
    stage(uri, "a", rows(2))._close()
    files = sorted(tmp_path.rglob("*.parquet"))
    for file in files:
        os.utime(file, (0, 0))
    (upkeep,) = maintain(str(tmp_path), {}, Policy(timedelta(days=7)))
    assert len(upkeep.removed) == 1
    assert len(files) == 2
    assert ids(uri) == [1]


def test_a_long_window_keeps_its_order(tmp_path: Path):
    uri, number = str(tmp_path / "t"), 700_000
    values = np.arange(number)
    stage(uri, "a", *(pa.table({"id": part}) for part in np.array_split(values, 5))).publish()
    assert np.array_equal(read(uri)["id"].to_numpy(), values)
