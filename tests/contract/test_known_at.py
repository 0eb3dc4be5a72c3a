"""A table as it was known at a time, against the definition written out in Python."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.contract.known_at import KnownAtDoesNotBind, NeverSaidWhenKnown, cut, effective
from mlops_assets.contract.spec import KnownAtSpec, TableSpec
from mlops_assets.lake.engine import attach_arrow, connect

ZERO = datetime(2024, 3, 1, tzinfo=UTC)
COLUMNS = ["id", "booked", "sent", "delay", "late"]
SPEC = KnownAtSpec(
    row="booked", columns={"sent": "sent", "delay": "sent + to_hours(delay)"}, known_with_row=["id", "booked"]
)
hours = st.none() | st.integers(0, 6)


def instant(hour: int | None) -> datetime | None:
    return None if hour is None else ZERO + timedelta(hours=hour)


def as_known(row: dict, at: datetime) -> dict | None:
    """The definition: rows and cells at or before their time; never if it is null; the rest at the latest of all."""

    def known(time: datetime | None) -> bool:
        return time is not None and time <= at

    landed = None if row["sent"] is None or row["delay"] is None else row["sent"] + timedelta(hours=row["delay"])
    if not known(row["booked"]):
        return None
    return {
        **row,
        "sent": row["sent"] if known(row["sent"]) else None,
        "delay": row["delay"] if known(landed) else None,
        "late": row["late"] if known(row["sent"]) and known(landed) else None,
    }


@settings(max_examples=50)  # each opens a database
@given(
    rows=st.lists(st.tuples(hours, hours, hours, st.none() | st.booleans()), max_size=8),
    times=st.lists(st.integers(-1, 13), min_size=1, max_size=3),
)
def test_a_cut_shows_what_was_known(rows, times):
    made = [
        {"id": n, "booked": instant(b), "sent": instant(s), "delay": d, "late": late}
        for n, (b, s, d, late) in enumerate(rows)
    ]
    kinds = [pa.int64(), pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC"), pa.int64(), pa.bool_()]
    table = pa.Table.from_pylist(made, pa.schema(list(zip(COLUMNS, kinds, strict=True))))
    with connect() as con:
        attach_arrow(con, "orders", table)
        for hour in times:
            at = ZERO + timedelta(hours=hour)
            cut(con, "orders", COLUMNS, SPEC, at=at)
            expected = [known for row in made if (known := as_known(row, at)) is not None]
            assert con.sql("from orders order by id").to_arrow_table().to_pylist() == expected


def test_without_columns_of_their_own_all_cells_come_with_the_row():
    with connect() as con:
        attach_arrow(con, "t", pa.table({"d": [1, 9], "x": ["a", "b"]}))
        cut(
            con,
            "t",
            ["d", "x"],
            KnownAtSpec(row="timestamptz '2024-03-01 00:00:00+00' + to_hours(d)"),
            at=ZERO + timedelta(hours=1),
        )
        assert con.sql("from t").fetchall() == [(1, "a")]


def test_a_table_that_never_said_when_is_refused():
    with connect() as con, pytest.raises(NeverSaidWhenKnown, match="Table planes: found no `known_at`"):
        cut(con, "planes", ["a"], None, at=ZERO)


def test_an_expression_that_does_not_bind_is_named():
    with connect() as con:
        attach_arrow(con, "t", pa.table({"a": [1]}))
        with pytest.raises(KnownAtDoesNotBind, match=r"table t: found Binder Error: .*nope"):
            cut(con, "t", ["a"], KnownAtSpec(row="nope"), at=ZERO)


WITH_HISTORY = [*COLUMNS, "recorded_at", "revision", "is_deleted"]


def declared(publish: str, **table) -> TableSpec:
    columns = {"id": "BIGINT", "booked": "TIMESTAMPTZ", "sent": "TIMESTAMPTZ", "delay": "BIGINT", "late": "BOOLEAN"}
    return TableSpec.model_validate(
        {"description": "One order.", "key": ["id"], "columns": columns, "known_at": SPEC, "publish": publish, **table}
    )


@settings(max_examples=50)  # each opens a database
@given(
    rows=st.lists(st.tuples(hours, hours, hours, st.integers(0, 6), st.integers(0, 2)), max_size=8),
    hour=st.integers(-1, 13),
)
def test_a_correction_is_known_from_its_arrival_and_a_first_version_as_declared(rows, hour):
    def later(time, row):
        """The definition: a null stays never; a correction waits for its arrival."""
        return time if time is None or row["revision"] == 0 else max(time, row["recorded_at"])

    made = [
        {
            "id": n,
            "booked": instant(b),
            "sent": instant(s),
            "delay": d,
            "late": True,
            "recorded_at": instant(recorded),
            "revision": revision,
            "is_deleted": revision == 2,
        }
        for n, (b, s, d, recorded, revision) in enumerate(rows)
    ]
    time = pa.timestamp("us", "UTC")
    kinds = [pa.int64(), time, time, pa.int64(), pa.bool_(), time, pa.int32(), pa.bool_()]
    table = pa.Table.from_pylist(made, pa.schema(list(zip(WITH_HISTORY, kinds, strict=True))))
    at = instant(hour)
    assert at is not None
    expected = []
    for row in made:
        booked, sent = later(row["booked"], row), later(row["sent"], row)
        end = None if row["sent"] is None or row["delay"] is None else row["sent"] + timedelta(hours=row["delay"])
        landed = later(end, row)
        if booked is None or booked > at:
            continue
        is_sent, is_landed = sent is not None and sent <= at, landed is not None and landed <= at
        cells = {"sent": row["sent"] if is_sent else None, "delay": row["delay"] if is_landed else None}
        expected.append({**row, **cells, "late": True if is_sent and is_landed else None})

    with connect() as con:
        attach_arrow(con, "orders", table)
        cut(con, "orders", WITH_HISTORY, effective(declared("history")), at=at)
        assert con.sql("from orders order by id").to_arrow_table().to_pylist() == expected


@pytest.mark.parametrize(
    ("booked", "changed", "known_from"), [(1, 4, 4), (4, 1, 4), (2, 2, 2), (None, 1, None), (1, None, None)]
)
def test_an_upserted_row_is_known_from_its_last_change(booked, changed, known_from):
    spec = TableSpec.model_validate(
        {
            "description": "One order.",
            "key": ["id"],
            "columns": {"id": "BIGINT", "booked": "TIMESTAMPTZ", "changed": "TIMESTAMPTZ"},
            "known_at": {"row": "booked"},
            "publish": "upsert",
            "newest_by": "changed",
        }
    )
    time = pa.timestamp("us", "UTC")
    row = {"id": 1, "booked": instant(booked), "changed": instant(changed)}
    table = pa.Table.from_pylist([row], pa.schema([("id", pa.int64()), ("booked", time), ("changed", time)]))
    with connect() as con:
        attach_arrow(con, "orders", table)
        for hour in range(7):
            cut(con, "orders", table.column_names, effective(spec), at=ZERO + timedelta(hours=hour))
            is_known = known_from is not None and hour >= known_from
            assert con.sql("from orders").to_arrow_table().num_rows == is_known


@pytest.mark.parametrize("publish", ["replace", "append"])
def test_a_table_whose_rows_never_change_keeps_its_declared_times(publish):
    assert effective(declared(publish)) == SPEC


def test_a_table_that_never_said_when_says_nothing_about_its_corrections_either():
    assert effective(declared("history", known_at=None)) is None


def test_the_newest_row_of_a_table_with_known_at_is_told_by_a_time():
    with pytest.raises(ValueError, match=r"newest_by 'delay' must be a timestamp: with `known_at`.*found BIGINT"):
        declared("upsert", newest_by="delay")
