"""A refresh by lookback is the refresh of everything: on random data with late rows, corrections and rows that went away."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from features.world import at, view
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlops_assets.features.definition import View
from mlops_assets.features.refresh import Refreshed, refresh_view
from mlops_assets.lake import tables
from mlops_assets.lake.identity import identity

SCHEMA = pa.schema(
    [
        ("visit_id", pa.int64()),
        ("customer", pa.string()),
        ("visited_at", pa.timestamp("us", "UTC")),
        ("hours", pa.int64()),
        ("spent", pa.int64()),
    ]
)
TIMES = {"shop/visits": "visited_at", "shop/people": None}
DAYS = 60
ROLLING = """
    select customer, visited_at as event_timestamp, visited_at as known_at, sum(spent) over last as spent_3d,
           count(*) over last as visits_3d
    from visits
    window last as (partition by customer order by visited_at range between interval 3 day preceding and current row)
    qualify row_number() over (partition by customer, visited_at order by visit_id) = 1
"""
# The row is about the day after the visit ended: later than the raw row.
BY_DAY = """
    with ended as (
        select customer, date_trunc('day', visited_at + to_hours(hours)) + interval 1 day as day, sum(spent) as spent
        from visits group by all
    )
    select customer, day as event_timestamp, day as known_at,
           sum(spent) over (partition by customer order by day range between interval 1 day preceding and current row)
               as spent_3d,
           1 as visits_3d
    from ended
"""
# The row is about the day before the visit began: earlier than the raw row, as a flight that leaves early.
AHEAD = """
    select customer, date_trunc('day', visited_at) - interval 1 day as event_timestamp, event_timestamp as known_at,
           sum(spent) as spent_3d, count(distinct hours) as visits_3d
    from visits group by all
"""
ALL_TIME = """
    select customer, visited_at as event_timestamp, visited_at as known_at,
           sum(spent) over (partition by customer order by visited_at, visit_id) as spent_3d, 1 as visits_3d
    from visits qualify row_number() over (partition by customer, visited_at order by visit_id desc) = 1
"""


def visits_view(sql: str, *, lookback_days: float | None) -> View:
    features = {name: {"description": "A value."} for name in ("spent_3d", "visits_3d")}
    sources = {"visits": "shop/visits"}
    return view(sql, name="visits", features=features, sources=sources, lookback_days=lookback_days)


def visit(number: int, day: float, *, spent: int = 1, customer: str = "ann", hours: int = 1) -> dict:
    return {"visit_id": number, "customer": customer, "visited_at": at(day), "hours": hours, "spent": spent}


@dataclass
class Visits:
    """A lake with the table `shop/visits`, published by windows of ten days or whole."""

    lake: str
    by_window: bool = True
    rows: dict[int, dict] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return f"{self.lake}/raw/shop/visits"

    def add(self, rows: Iterable[dict]) -> None:
        """Add rows, or other versions of rows, and publish the windows that they are in."""
        touched = list(rows)
        old = [self.rows[row["visit_id"]] for row in touched if row["visit_id"] in self.rows]
        self.rows |= {row["visit_id"]: row for row in touched}
        self.publish([*touched, *old])

    def remove(self, numbers: Iterable[int]) -> None:
        self.publish([self.rows.pop(number) for number in numbers])

    def publish(self, touched: Iterable[dict]) -> None:
        if not self.by_window:
            tables.overwrite(self.uri, self._table(self.rows.values()))
            return
        for window in sorted({self._window(row) for row in touched}):
            part = [row for row in self.rows.values() if self._window(row) == window]
            tables.replace_window(self.uri, self._table(part), window=f"w{window:03}")

    def refresh(self, wanted: View, **options: object) -> Refreshed:
        return refresh_view(wanted.spec, wanted.sql, lake=self.lake, **{"time_columns": TIMES, **options})

    def _window(self, row: dict) -> int:
        return (row["visited_at"] - at(0)) // timedelta(days=10)

    def _table(self, rows: Iterable[dict]) -> pa.Table:
        return pa.Table.from_pylist(sorted(rows, key=lambda row: row["visit_id"]), SCHEMA)


def content(uri: str) -> str:
    """Return the identity of all rows of a view in order of their key."""
    table = tables.read(uri)
    return identity(table.sort_by([(name, "ascending") for name in ("customer", "event_timestamp", "known_at")]))


def recomputed(visits: Visits, wanted: View, folder: Path) -> Refreshed:
    """Return the view computed whole in a lake of its own, from the same rows."""
    twin = Visits(str(folder), by_window=False, rows=visits.rows)
    twin.publish([])
    return twin.refresh(wanted)


@pytest.mark.parametrize("by_window", [True, False], ids=["by window", "whole"])
@pytest.mark.parametrize(
    ("sql", "lookback_days"),
    [(ROLLING, 3), (BY_DAY, 4), (AHEAD, 2)],
    ids=["rolling sum", "row later than its raw rows", "row earlier than its raw rows"],
)
@given(seed=st.integers(0, 2**32))
@hypothesis_settings(max_examples=4)
def test_after_every_change_the_view_is_the_one_computed_whole(sql, lookback_days, by_window, seed):
    rng, wanted, modes = np.random.default_rng(seed), visits_view(sql, lookback_days=lookback_days), Counter()

    def some(numbers: Iterable[int], *, first: float, last: float) -> list[dict]:
        return [
            visit(
                int(number),
                round(rng.uniform(first, last), 3),
                spent=int(rng.integers(1, 100)),
                customer=str(rng.choice(["ann", "bob", "eve"])),
                hours=int(rng.integers(0, 30)),
            )
            for number in numbers
        ]

    with TemporaryDirectory() as folder:
        visits = Visits(f"{folder}/lake", by_window)
        visits.add(some(range(200), first=0, last=DAYS))
        visits.refresh(wanted)
        for step in range(3):
            now, first_new = DAYS + step, 1000 + 10 * step
            visits.add(some(range(first_new, first_new + 5), first=now, last=now + 1))
            settled = [number for number, row in visits.rows.items() if row["visited_at"] > at(20)]
            if rng.random() < 0.5:  # late rows, and other versions of rows
                again = [first_new + 5, *rng.choice(settled, 2)]
                visits.add(some(again, first=20, last=now))
            if rng.random() < 0.3:
                visits.remove([int(rng.choice(settled))])
            found, expected = visits.refresh(wanted), recomputed(visits, wanted, Path(folder, f"twin{step}"))
            modes[found.scope.mode] += 1
            assert content(found.uri) == content(expected.uri)
            assert (found.data_version, found.rows) == (expected.data_version, expected.rows)
            assert found.statistics == expected.statistics
    assert modes == {"incremental": 3}


def daily(count: int, *, start: int = 0) -> list[dict]:
    return [visit(number, number, spent=number) for number in range(start, start + count)]


@pytest.fixture
def visits(tmp_path: Path) -> Visits:
    """Return sixty days with a visit each, already refreshed once."""
    held = Visits(str(tmp_path / "lake"))
    held.add(daily(60))
    held.refresh(visits_view(ROLLING, lookback_days=3))
    return held


def test_only_the_rows_that_may_have_changed_are_computed(visits):
    visits.add(daily(1, start=60))
    wanted = visits_view(ROLLING, lookback_days=3)

    found = visits.refresh(wanted)

    start = at(60 - 3)
    assert found.scope.mode == "incremental"
    assert start - timedelta(days=7) < found.scope.start <= start  # the first instant of a week
    assert f"raw rows from {at(60).isoformat()} on changed" in found.scope.reason
    changed = tables.read(found.uri).num_rows - tables.read(found.uri, version=found.version - 1).num_rows
    assert (changed, found.is_new, found.rows) == (1, True, 61)


def test_the_query_sees_only_the_end_of_the_raw_table(visits):
    """The query itself says how many raw rows it saw; the rows before do not change, so their count is a constant."""
    sql = ROLLING.replace("count(*) over last", f"(select case when count(*) > 60 then {-1} else 1 end from visits)")
    wanted = visits_view(sql, lookback_days=3)
    visits.refresh(wanted)
    visits.add(daily(40, start=60))

    found = visits.refresh(wanted)

    assert found.scope.mode == "incremental"
    assert found.statistics["visits_3d"].minimum == 1  # of 100 raw rows it saw the last ones only


def test_nothing_new_computes_nothing_and_commits_nothing(visits):
    wanted = visits_view(ROLLING, lookback_days=3)
    before = visits.refresh(wanted)

    visits.publish(visits.rows.values())  # the same rows in new files, as compaction leaves them
    again = visits.refresh(wanted)

    assert again.source_versions != before.source_versions
    assert (again.scope.mode, again.scope.reason, again.is_new) == ("unchanged", "no raw row changed", False)
    assert (again.version, again.data_version) == (before.version, before.data_version)


@pytest.mark.parametrize("lookback_days", [None, 3])
def test_a_refresh_that_gives_the_same_rows_makes_no_commit(visits, lookback_days):
    sql = ROLLING.replace("from visits", "from (from visits where spent < 1000)")
    wanted = visits_view(sql, lookback_days=lookback_days)
    before = visits.refresh(wanted)
    visits.add([visit(500, 59.5, spent=5000)])

    after = visits.refresh(wanted)

    assert after.scope.mode == ("incremental" if lookback_days else "full")
    assert not after.is_new
    assert (after.version, after.data_version) == (before.version, before.data_version)


def test_other_rows_have_another_data_version_and_the_old_rows_the_old_one(visits):
    wanted = visits_view(ROLLING, lookback_days=3)
    before = visits.refresh(wanted)

    visits.add([visit(500, 59.5)])
    changed = visits.refresh(wanted)
    visits.remove([500])
    back = visits.refresh(wanted)

    assert changed.data_version != before.data_version == back.data_version
    assert before.version < changed.version < back.version


def test_a_week_whose_rows_are_all_gone_leaves_no_trace(tmp_path):
    visits, wanted = Visits(str(tmp_path)), visits_view(ROLLING, lookback_days=3)
    visits.add(daily(55))  # the last of them ends a week that begins on a Thursday, as weeks since 1970 do
    before = visits.refresh(wanted)
    visits.add([visit(500, 58.5)])
    changed = visits.refresh(wanted)
    visits.remove([500])

    back = visits.refresh(wanted)

    assert (changed.scope.mode, back.scope.mode, back.scope.start) == ("incremental", "incremental", at(55))
    assert changed.data_version != before.data_version == back.data_version


def reason_of(visits: Visits, wanted: View, **options: object) -> str:
    found = visits.refresh(wanted, **options)
    assert found.scope.mode == "full"
    with TemporaryDirectory() as folder:
        assert content(found.uri) == content(recomputed(visits, wanted, Path(folder)).uri)
    return found.scope.reason


def test_a_lookback_that_is_too_short_is_found_out_and_costs_a_full_refresh(visits):
    wanted = visits_view(ALL_TIME, lookback_days=3)
    visits.refresh(wanted)
    visits.add(daily(1, start=60))

    reason = reason_of(visits, wanted)

    assert "features/visits, lookback_days 3: found other values between" in reason
    assert "spent_3d" in reason
    assert "Raise `lookback_days`" in reason


def test_without_rows_to_compare_nothing_is_shown_and_all_is_computed(tmp_path):
    visits, wanted = Visits(str(tmp_path)), visits_view(ROLLING, lookback_days=3)
    visits.add(daily(3))
    visits.refresh(wanted)
    visits.add(daily(1, start=60))

    assert "no row between" in reason_of(visits, wanted)


def test_what_cannot_be_shown_is_computed_whole_and_says_why(visits):
    wanted = visits_view(ROLLING, lookback_days=3)
    visits.add(daily(1, start=60))
    assert reason_of(visits, wanted, time_columns={}) == (
        "raw/shop/visits: found 1 changed rows without a time; required a `time_column` in its Ingestion file. "
        "The view is computed whole."
    )
    assert reason_of(visits, visits_view(ROLLING, lookback_days=None)) == "no `lookback_days`"
    assert reason_of(visits, visits_view(f"{ROLLING} -- other", lookback_days=3)) == "the definition changed"
    assert reason_of(visits, visits_view(f"{ROLLING} -- other", lookback_days=3), full=True) == "asked for"


def test_a_changed_row_without_a_time_is_no_known_change(visits):
    wanted = visits_view(ROLLING.replace("from visits", "from visits where visited_at is not null"), lookback_days=3)
    visits.refresh(wanted)
    undated = pa.Table.from_pylist([visit(900, 0) | {"visited_at": None}], SCHEMA)
    tables.replace_window(visits.uri, undated, window="undated")

    assert (
        "found 1 changed rows without a time; required a value of `visited_at`" in visits.refresh(wanted).scope.reason
    )


def test_new_columns_of_a_raw_table_mean_a_full_refresh(visits):
    extra = pa.Table.from_pylist([visit(60, 60)], SCHEMA).append_column("note", pa.array(["new"]))
    tables.replace_window(visits.uri, extra, window="w006")

    found = visits.refresh(visits_view(ROLLING, lookback_days=3))

    assert (found.scope.mode, found.rows) == ("full", 61)
    assert "other columns than at the last refresh" in found.scope.reason


def test_raw_files_that_maintenance_removed_mean_a_full_refresh(visits):
    for file in Path(visits.uri).glob("_window=w005/*.parquet"):
        kept = file.read_bytes()
        visits.add([visit(59, 59, spent=7)])  # the window is written again; then its old file goes
        assert kept
        file.unlink()

    assert "is gone" in reason_of(visits, visits_view(ROLLING, lookback_days=3))


def test_an_unchanged_table_without_a_time_is_read_whole(visits):
    people = pa.table({"customer": ["ann"], "joined": [at(0)], "age": [40]})
    tables.overwrite(f"{visits.lake}/raw/shop/people", people)
    sql = ROLLING.replace("from visits", "from visits join people using (customer)").replace("spent)", "spent + age)")
    features = {name: {"description": "A value."} for name in ("spent_3d", "visits_3d")}
    sources = {"visits": "shop/visits", "people": "shop/people"}
    wanted = view(sql, name="visits", features=features, sources=sources, lookback_days=3)
    visits.refresh(wanted)
    visits.add(daily(1, start=60))

    found = visits.refresh(wanted)
    assert found.scope.mode == "incremental"
    assert found.statistics["spent_3d"].maximum == 57 + 58 + 59 + 60 + 4 * 40

    tables.overwrite(f"{visits.lake}/raw/shop/people", people.set_column(2, "age", pa.array([41])))
    changed = visits.refresh(wanted)
    assert changed.scope.mode == "full"
    assert "raw/shop/people: found 2 changed rows without a time" in changed.scope.reason


def test_a_refused_row_at_the_end_leaves_the_view_as_it_was(visits):
    wanted = visits_view(ROLLING.partition("qualify")[0], lookback_days=3)
    before = visits.refresh(wanted)
    visits.add([visit(500, 59)])

    with pytest.raises(Exception, match="several rows for one"):
        visits.refresh(wanted)

    assert tables.snapshot(before.uri).version == before.version


def test_a_corrected_row_counts_with_its_old_time_too(tmp_path):
    """Of a table with history the newest versions are read: where a visit was moved, it is gone from its old day."""
    visits, wanted = Visits(str(tmp_path)), visits_view(ROLLING, lookback_days=3)
    newest = View(wanted.spec.model_copy(update={"sources": {"visits": "shop/visits@current"}}), wanted.sql)
    versions = [row | {"recorded_at": row["visited_at"], "revision": 0, "is_deleted": False} for row in daily(60)]
    moved = visit(40, 55) | {"recorded_at": at(60), "revision": 1, "is_deleted": False}

    def publish(rows: list[dict]) -> None:
        hidden = [("recorded_at", pa.timestamp("us", "UTC")), ("revision", pa.int32()), ("is_deleted", pa.bool_())]
        schema = pa.schema([*SCHEMA, *(pa.field(*one) for one in hidden)])
        tables.overwrite(visits.uri, pa.Table.from_pylist(rows, schema), properties={"key": '["visit_id"]'})

    publish(versions)
    visits.refresh(newest)
    publish([*versions, moved])
    found = visits.refresh(newest)

    assert f"raw rows from {at(40).isoformat()} on changed" in found.scope.reason
    by_time = {row["event_timestamp"]: row["spent_3d"] for row in tables.read(found.uri).to_pylist()}
    assert (at(40) in by_time, by_time[at(41)]) == (False, 38 + 39 + 41)
    assert by_time[at(55)] == 52 + 53 + 54 + 55 + 1
    whole = visits.refresh(newest, full=True)
    assert (whole.is_new, whole.data_version) == (False, found.data_version)
