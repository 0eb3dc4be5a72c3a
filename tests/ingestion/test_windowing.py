"""Rows cut into windows: every row in exactly one, its own if it has one."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from ingestion.world import day

from mlops_assets.ingestion.windowing import split

ZERO = datetime(2024, 3, 1, tzinfo=UTC)


@given(
    hours=st.lists(st.none() | st.integers(-30, 130), max_size=20),
    days=st.sampled_from([[1], [1, 2, 3], [2, 4]]),
)
def test_every_row_goes_to_its_window_and_strays_to_the_first(hours, days):
    windows = [day(number) for number in days]
    instants = [None if hour is None else ZERO + timedelta(hours=hour) for hour in hours]
    table = pa.table({"row": pa.array(range(len(hours))), "at": pa.array(instants, pa.timestamp("us", "UTC"))})
    expected: dict[str, list[int]] = {window.key: [] for window in windows}
    for row, instant in enumerate(instants):
        own = [window.key for window in windows if instant is not None and window.start <= instant < window.end]
        expected[own[0] if own else windows[0].key].append(row)
    assert {window.key: part["row"].to_pylist() for window, part in split(table, windows, column="at")} == expected


def test_dates_belong_to_the_day_in_utc():
    table = pa.table({"on": pa.array([19783, 19784], pa.date32())})  # 2024-03-01 and 02, in days since 1970
    assert [part.num_rows for _, part in split(table, [day(1), day(2)], column="on")] == [1, 1]
