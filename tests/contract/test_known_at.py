"""A table as it was known at a time, against the definition written out in Python."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.contract.known_at import KnownAtDoesNotBind, NeverSaidWhenKnown, cut
from mlops_assets.contract.spec import KnownAtSpec
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
