"""SQL over snapshots."""

import pyarrow as pa
import pytest

from mlops_assets.lake.engine import attach, attach_arrow, base, connect, quoted, stand_in
from mlops_assets.lake.tables import overwrite, replace_window, snapshot


@pytest.fixture
def con():
    with connect() as con:
        yield con


def test_instants_are_in_utc_on_any_machine(con):
    assert con.sql("select (timestamptz '2013-07-01 12:00:00+02')::varchar").fetchall() == [("2013-07-01 10:00:00+00",)]


def test_one_thread_unless_asked(con):
    assert con.sql("select current_setting('threads')").fetchall() == [(1,)]
    with connect(threads=2) as two:
        assert two.sql("select current_setting('threads')").fetchall() == [(2,)]


def test_a_view_shows_one_snapshot_without_the_window_column(con, place):
    uri = f"{place}/it's a table"
    first = replace_window(uri, pa.table({"id": [1]}), window="a")
    replace_window(uri, pa.table({"id": [2], "new": ["x"]}), window="b")
    attach(con, "t", snapshot(uri))
    assert con.sql("select * from t order by id").fetchall() == [(1, None), (2, "x")]
    attach(con, "t", snapshot(uri, first))
    assert con.sql("from t").fetchall() == [(1,)]


def test_an_empty_snapshot_keeps_its_types(con, place):
    overwrite(f"{place}/t", pa.table({"at": pa.array([], pa.timestamp("us", "UTC"))}))
    attach(con, "t", snapshot(f"{place}/t"))
    assert con.sql("describe t").fetchall()[0][:2] == ("at", "TIMESTAMP WITH TIME ZONE")


def test_what_stands_in_hides_the_base_until_the_next_attach(con):
    attach_arrow(con, "t", pa.table({"id": [1, 2, 3]}))
    stand_in(con, "t", f"select id from {base('t')} where id > 1")
    assert con.sql("select count(*) from t").fetchall() == [(2,)]
    stand_in(con, "t", f"select id from {base('t')} where id > 2")
    assert con.sql("select count(*) from t").fetchall() == [(1,)]
    assert con.sql(f"select count(*) from {base('t')}").fetchall() == [(3,)]
    attach_arrow(con, "t", pa.table({"id": [7]}))
    assert con.sql("from t").fetchall() == [(7,)]


def test_names_are_quoted(con):
    attach_arrow(con, 'odd "name', pa.table({"select": [1]}))
    name = quoted('odd "name')
    assert con.sql(f"select {quoted('select')} from {name}").fetchall() == [(1,)]
