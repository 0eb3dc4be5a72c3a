"""A database that is configured in a file: PostgreSQL and SQLite."""

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
import sqlalchemy as sa
from ingestion.sources.world import COLUMNS, Loads, days, order, spec_of
from sqlalchemy.dialects import postgresql as pg

from mlops_assets.contract.types import SchemaChanged
from mlops_assets.ingestion.sources.failures import SourceFailed
from mlops_assets.ingestion.sources.sql import DriverMissing, UrlUnreadable

ORDERS = [order(number, 1 + number) for number in range(5)]
Described = Callable[..., Loads]


def source(**keys) -> dict:
    table = {"table": keys.pop("table", None), "cursor": keys.pop("cursor", None)}
    return {"type": "sql_database", "url": "SHOP_DATABASE", "tables": {"orders": table}, **keys}


def create(engine: sa.Engine, *, zone: bool = True) -> sa.Table:
    table = sa.Table(
        "orders",
        sa.MetaData(),
        sa.Column("order_id", sa.BigInteger, primary_key=True),
        sa.Column("placed_at", sa.DateTime(timezone=zone)),
        sa.Column("amount", sa.Double),
        sa.Column("city", sa.String),
        sa.Column("card_number", sa.String),
    )
    table.create(engine)
    return table


def insert(engine: sa.Engine, table: sa.Table, *rows: dict) -> None:
    with engine.begin() as con:
        con.execute(table.insert(), [{"card_number": "4111", **row} for row in rows])


@pytest.fixture
def engine(postgres, monkeypatch):
    monkeypatch.setenv("SHOP_DATABASE", postgres)
    made = sa.create_engine(postgres, poolclass=sa.NullPool)
    yield made
    made.dispose()


@pytest.fixture
def loads(tmp_path) -> Described:
    return lambda described, **keys: Loads(tmp_path / "work", spec_of(described, **keys))


@pytest.mark.service
def test_a_table_is_read_whole_and_only_its_declared_columns(engine, loads):
    insert(engine, create(engine), *ORDERS, order(9, 9, None, None))
    staged = loads(source(chunk_rows=2)).load()
    assert staged.tables["orders"].sort_by("order_id").to_pylist() == [*ORDERS, order(9, 9, None, None)]
    assert (staged.states, staged.complete) == ({}, {"orders"})


@pytest.mark.service
def test_a_window_is_cut_by_the_database_in_utc(engine, loads):
    """The session is elsewhere: a naive column must still be compared with UTC, and a day has 24 hours."""
    with engine.begin() as con:
        con.exec_driver_sql(f"alter database {engine.url.database} set timezone to 'America/New_York'")
    insert(engine, create(engine), *ORDERS, order(8, 3, hour=0), order(9, 4, hour=0))
    assert loads(source(), partitioned=True).ids(window=days(3)) == [2, 8]
    with engine.begin() as con:
        con.exec_driver_sql("alter table orders alter placed_at type timestamp using placed_at at time zone 'UTC'")
    naive = {**COLUMNS, "placed_at": "TIMESTAMP"}
    found = loads(source(), partitioned=True, columns=naive).rows(window=days(3, 4))
    assert [row["order_id"] for row in found] == [2, 3, 8, 9]
    assert found[0]["placed_at"] == datetime(2024, 3, 3, 12)  # noqa: DTZ001  a column without a zone


@pytest.mark.service
def test_a_column_of_days_cuts_windows_too(engine, loads):
    with engine.begin() as con:
        con.exec_driver_sql("create table orders (order_id int, placed_at date)")
        con.exec_driver_sql("insert into orders select n, date '2024-03-01' + n from generate_series(0, 5) n")
    columns = {"order_id": "BIGINT", "placed_at": "DATE"}
    assert loads(source(), partitioned=True, columns=columns).ids(window=days(2, 3)) == [1, 2]


@pytest.mark.service
def test_the_next_load_reads_from_the_last_value_on_and_doubles_nothing(engine, loads):
    table = create(engine)
    insert(engine, table, *ORDERS[:3])
    following = loads(source(cursor="placed_at"), publish="append", key=[])
    assert following.ids() == [0, 1, 2]
    assert following.load().complete == set()
    insert(engine, table, order(7, 3), *ORDERS[3:])  # order 7 at the very instant of the last one
    assert following.ids() == [3, 4, 7]
    assert following.ids() == []


@pytest.mark.service
def test_a_correction_within_the_same_second_is_read_though_its_key_is_known(engine, loads):
    """dlt tells rows by the primary key that it finds in the database, and would drop the correction."""
    table = create(engine)
    insert(engine, table, *ORDERS[:3])
    following = loads(source(cursor="placed_at"), publish="history")
    following.load()
    with engine.begin() as con:
        con.execute(table.update().where(table.c.order_id == 2).values(amount=7.0))
    assert following.rows() == [{**ORDERS[2], "amount": 7.0}]
    assert following.rows() == []


@pytest.mark.service
@pytest.mark.parametrize(("lag_days", "ids"), [(0, []), (1, [1, 2]), (1.5, [1, 2])])
def test_lag_reads_back_by_days(engine, loads, lag_days, ids):
    table = create(engine)
    insert(engine, table, ORDERS[2])
    following = loads(source(cursor="placed_at"), publish="append", lag_days=lag_days)
    following.load()
    insert(engine, table, *ORDERS[:2])  # late: one day and two
    assert following.ids() == ids


@pytest.mark.service
def test_a_day_and_a_number_may_be_the_cursor(engine, loads):
    with engine.begin() as con:
        con.exec_driver_sql("create table orders (order_id int, placed_at date)")
        con.exec_driver_sql("insert into orders select n, date '2024-03-01' + n from generate_series(0, 5) n")
    columns = {"order_id": "BIGINT", "placed_at": "DATE"}
    by_day = loads(source(cursor="placed_at"), columns=columns, publish="append", lag_days=2)
    by_number = loads(source(cursor="order_id"), columns=columns, publish="append")
    assert by_day.ids() == by_number.ids() == [0, 1, 2, 3, 4, 5]
    assert (by_day.ids(), by_number.ids()) == ([3, 4, 5], [])


@pytest.mark.service
def test_rows_without_a_cursor_value_come_with_every_load_of_a_table_with_a_key(engine, loads):
    insert(engine, create(engine), ORDERS[0], {**ORDERS[1], "placed_at": None})
    following = loads(source(cursor="placed_at"), publish="append")
    assert following.ids() == [0, 1]
    assert following.ids() == [1]
    with pytest.raises(SourceFailed, match="placed_at"):
        loads(source(cursor="placed_at"), publish="append", key=[]).load()


@pytest.mark.service
def test_a_full_read_forgets_the_cursor_or_looks_back(engine, loads):
    table = create(engine)
    insert(engine, table, ORDERS[4])
    for look_back, ids in ((None, [0, 1, 2, 3, 4]), (2, [2, 3, 4])):
        following = loads(
            source(cursor="placed_at"), publish="append", reconcile={"look_back_days": look_back} if look_back else {}
        )
        following.load()
        if look_back is None:
            insert(engine, table, *ORDERS[:4])
        else:
            following.states = dict(following.states)
        assert following.ids(full=True) == ids


@pytest.mark.service
def test_the_schema_the_table_and_the_columns_may_have_names_of_their_own(engine, loads):
    with engine.begin() as con:
        con.exec_driver_sql("create schema sales")
        con.exec_driver_sql('create table sales."Orders2024" ("orderId" int, "placedAt" timestamptz, "Total" numeric)')
        con.exec_driver_sql("insert into sales.\"Orders2024\" values (1, '2024-03-02T12:00:00Z', 1.50)")
    columns = {"order_id": "BIGINT", "placed_at": "TIMESTAMPTZ", "total": "DECIMAL(10, 2)"}
    described = source(db_schema="sales", table="Orders2024", cursor="placedAt")
    expected = [{"order_id": 1, "placed_at": datetime(2024, 3, 2, 12, tzinfo=UTC), "total": Decimal("1.50")}]
    following = loads(described, columns=columns, publish="append")
    assert following.rows() == expected
    assert following.rows() == []
    whole = source(db_schema="sales", table="Orders2024")
    assert loads(whole, columns=columns, partitioned=True).rows(window=days(2)) == expected


@pytest.mark.service
def test_a_view_can_be_read(engine, loads):
    insert(engine, create(engine), *ORDERS)
    with engine.begin() as con:
        con.exec_driver_sql("create view recent as select * from orders where order_id > 2")
    assert loads(source(table="recent")).ids() == [3, 4]


TYPES = {
    "a_bool": (sa.Boolean, "BOOLEAN", True, True),
    "a_small": (sa.SmallInteger, "SMALLINT", 7, 7),
    "an_int": (sa.Integer, "BIGINT", 7, 7),
    "a_numeric": (sa.Numeric, "DECIMAL(20, 4)", Decimal("1.25"), Decimal("1.2500")),
    "a_price": (sa.Numeric(10, 2), "DECIMAL(10, 2)", Decimal("1.25"), Decimal("1.25")),
    "a_price_as_number": (sa.Numeric(10, 2), "DOUBLE", Decimal("1.25"), 1.25),
    "a_real": (sa.REAL, "DOUBLE", 0.5, 0.5),
    "a_text": (sa.Text, "VARCHAR", "é", "é"),
    "a_blob": (sa.LargeBinary, "BLOB", b"\x00\x01", b"\x00\x01"),
    "a_day": (sa.Date, "DATE", date(2024, 3, 1), date(2024, 3, 1)),
    "an_instant": (
        sa.DateTime(timezone=True),
        "TIMESTAMPTZ",
        datetime(2024, 3, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(2024, 3, 1, tzinfo=UTC),
    ),
    "a_time": (sa.DateTime(), "TIMESTAMP", datetime(2024, 3, 1, 1), datetime(2024, 3, 1, 1)),  # noqa: DTZ001
    "a_uuid": (sa.Uuid, "VARCHAR", uuid.UUID(int=7), str(uuid.UUID(int=7))),
    "a_json": (pg.JSONB, "VARCHAR", {"a": [1]}, '{"a":[1]}'),
    "an_array": (pg.ARRAY(sa.Integer), "VARCHAR", [1, 2], "[1,2]"),
    "an_enum": (sa.Enum("small", "large", name="size"), "VARCHAR", "large", "large"),
}


@pytest.mark.service
@pytest.mark.parametrize("name", TYPES)
def test_values_of_every_type_arrive_as_they_are(engine, loads, name):
    kind, declared, value, expected = TYPES[name]
    table = sa.Table("orders", sa.MetaData(), sa.Column("order_id", sa.Integer), sa.Column(name, kind))
    table.metadata.create_all(engine)
    with engine.begin() as con:
        con.execute(table.insert(), [{"order_id": 1, name: value}, {"order_id": 2, name: None}])
    rows = loads(source(), columns={"order_id": "BIGINT", name: declared}).rows()
    assert rows == [{"order_id": 1, name: expected}, {"order_id": 2, name: None}]


@pytest.mark.service
def test_a_column_that_is_gone_or_changed_is_named(engine, loads):
    insert(engine, create(engine), *ORDERS)
    with pytest.raises(SchemaChanged, match=r"column colour: found only order_id, .*required VARCHAR"):
        loads(source(), columns={**COLUMNS, "colour": "VARCHAR"}).load()
    with pytest.raises(SchemaChanged, match=r"column city: found .*Oslo.*required BIGINT"):
        loads(source(), columns={**COLUMNS, "city": "BIGINT"}).load()


@pytest.mark.service
def test_a_load_that_fails_half_way_leaves_the_cursor(engine, loads):
    """Its last rows cannot be read: division by zero in a view, after the first chunks have come."""
    insert(engine, create(engine), *ORDERS)
    with engine.begin() as con:
        con.exec_driver_sql(
            "create view shaky as select order_id, placed_at, amount / case when order_id < 4 then 1 else 0 end"
            " as amount, city from orders order by order_id"
        )
    following = loads(source(table="shaky", cursor="placed_at", chunk_rows=1), publish="append")
    with pytest.raises(SourceFailed, match="division by zero"):
        following.load()
    assert following.states == {}
    with engine.begin() as con:
        con.exec_driver_sql("create or replace view shaky as select order_id, placed_at, amount, city from orders")
    assert following.rows() == ORDERS


def test_sqlite_is_read_the_same_way(tmp_path, monkeypatch, loads):
    url = f"sqlite:///{tmp_path}/shop.db"
    monkeypatch.setenv("SHOP_DATABASE", url)
    engine = sa.create_engine(url)
    table = create(engine, zone=False)
    plain = [{**row, "placed_at": row["placed_at"].replace(tzinfo=None)} for row in ORDERS]
    insert(engine, table, *plain[:3])
    naive = {**COLUMNS, "placed_at": "TIMESTAMP"}
    following = loads(source(cursor="placed_at"), columns=naive, publish="append")
    assert following.rows() == plain[:3]
    insert(engine, table, *plain[3:])
    assert following.rows() == plain[3:]
    assert loads(source(), columns=naive, partitioned=True).ids(window=days(2, 3)) == [1, 2]


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("hunter2 is my password", UrlUnreadable, "Secret SHOP_DATABASE: found no address of a database"),
        ("mysql+nothing://ann:hunter2@h/d", DriverMissing, "A mysql database"),
        ("oracle://ann:hunter2@h/d", DriverMissing, "A oracle database: found no module"),
        ("postgresql+psycopg://ann:hunter2@127.0.0.1:1/d", SourceFailed, "connection failed"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_without_its_password(monkeypatch, loads, url, error, message):
    monkeypatch.setenv("SHOP_DATABASE", url)
    with pytest.raises(error, match=message) as raised:
        loads(source()).load()
    assert "hunter2" not in str(raised.value)
