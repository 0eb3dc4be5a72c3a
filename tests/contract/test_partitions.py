"""Windows and their keys."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.contract.partitions import NoLastWindow, PartitionsSpec

FREQUENCIES = {"hour": "h", "day": "D", "week": "W-SUN", "month": "MS"}


@given(
    every=st.sampled_from(sorted(FREQUENCIES)),
    start=st.dates(date(2000, 1, 1), date(2030, 1, 1)),
    hours=st.integers(0, 3000),
)
def test_windows_are_the_calendars(every, start, hours):
    first = pd.date_range(start, periods=1, freq=FREQUENCIES[every], tz="UTC").to_pydatetime()[0]
    until = first + timedelta(hours=hours)
    edges = list(pd.date_range(first, until, freq=FREQUENCIES[every]))
    windows = PartitionsSpec(every=every, column="at", start=first.date()).windows(until)
    assert [(w.start, w.end) for w in windows] == list(pairwise(edges))


def test_keys_are_written_as_dagster_writes_them():
    def first_key(every, start):
        spec = PartitionsSpec(every=every, column="at", start=start)
        return spec.windows(datetime(2013, 3, 1, tzinfo=UTC))[0].key

    assert first_key("hour", date(2012, 12, 30)) == "2012-12-30-00:00"
    assert first_key("day", date(2012, 12, 30)) == "2012-12-30"
    assert first_key("week", date(2012, 12, 30)) == "2012-12-30"
    assert first_key("month", date(2013, 1, 1)) == "2013-01-01"


def test_the_declared_end_stops_the_windows_and_until_may_stop_them_earlier():
    spec = PartitionsSpec(every="week", column="at", start=date(2012, 12, 30), end=date(2014, 1, 5))
    assert len(spec.windows()) == 53
    assert len(spec.windows(datetime(2013, 1, 12, 23, tzinfo=UTC))) == 1
    assert len(spec.windows(datetime(2013, 1, 13, tzinfo=UTC))) == 2
    assert len(spec.windows(datetime(2030, 1, 1, tzinfo=UTC))) == 53


def test_an_open_end_needs_until():
    with pytest.raises(NoLastWindow, match="2013-01-06"):
        PartitionsSpec(every="week", column="at", start=date(2013, 1, 6)).windows()


@pytest.mark.parametrize(
    ("every", "start", "end", "message"),
    [
        (
            "week",
            "2013-01-01",
            None,
            r"start 2013-01-01 \(Tuesday\) must be a Sunday; the nearest are 2012-12-30 and 2013-01-06",
        ),
        (
            "week",
            "2012-12-30",
            "2013-12-31",
            r"end 2013-12-31 \(Tuesday\) must be a Sunday; .* 2013-12-29 and 2014-01-05",
        ),
        ("month", "2013-01-31", None, "must be the first of a month; the nearest are 2013-01-01 and 2013-02-01"),
        ("month", "2013-12-15", None, "2013-12-01 and 2014-01-01"),
        ("day", "2013-01-02", "2013-01-02", "end 2013-01-02 must be after start 2013-01-02"),
    ],
)
def test_boundaries_are_checked_and_the_right_ones_named(every, start, end, message):
    with pytest.raises(ValidationError, match=message):
        PartitionsSpec(every=every, column="at", start=start, end=end)
