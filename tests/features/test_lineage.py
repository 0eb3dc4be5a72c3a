"""Which raw columns a view's columns come from, for the queries that people write; and what cannot be said."""

from pathlib import Path

import pytest
import yaml

import mlops_assets
from mlops_assets.features.lineage import trace
from mlops_assets.features.spec import FeatureViewSpec, read_sql
from mlops_assets.ingestion.spec import IngestionSpec

DEFS = Path(mlops_assets.__file__).parent / "defs"
ORDERS = {"customer": "VARCHAR", "ordered_at": "TIMESTAMPTZ", "amount": "DOUBLE", "tags": "VARCHAR"}
DECLARED = {"shop/orders": ORDERS, "shop/people": {"customer": "VARCHAR", "age": "DOUBLE"}}
SOURCES = {"orders": "shop/orders", "people": "shop/people@current"}
AMOUNT, AGE = ("shop/orders", "amount"), ("shop/people", "age")


def traced(sql: str, column: str = "x") -> list[tuple[str, str]]:
    found = trace(sql, columns=[column], sources=SOURCES, declared=DECLARED)
    assert found.problem is None, found.problem
    return found.columns[column]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select amount as x from orders;", [AMOUNT]),
        ("select amount as x from orders; -- the end", [AMOUNT]),
        ("from orders select customer, sum(amount) as x group by all", [AMOUNT]),
        ("select p.age * o.amount as x from orders o join people p using (customer)", [AMOUNT, AGE]),
        ("with big as (select customer, amount as a from orders) select a + 1 as x from big", [AMOUNT]),
        ("select sum(amount) over w as x from orders window w as (order by ordered_at)", [AMOUNT]),
        ("select amount as a, a + 1 as x from orders", [AMOUNT]),
        ("select age as x from orders o asof left join people p on o.amount >= p.age", [AGE]),
        ("select (select max(age) from people p where p.customer = o.customer) as x from orders o", [AGE]),
        ("select amount as x from orders union all select age from people", [AMOUNT, AGE]),
        ("select arg_max(amount, ordered_at) as x from orders", [AMOUNT, ("shop/orders", "ordered_at")]),
        ("select x from (select * rename (amount as x) from orders)", [AMOUNT]),
        ("select unnest(string_split(tags, ',')) as x from orders", [("shop/orders", "tags")]),
        ("select count(*) as x from orders", []),
        ("select 1 as x from orders where amount > 0", []),
    ],
)
def test_a_value_is_followed_to_the_raw_columns_it_is_made_of(sql, expected):
    assert traced(sql) == expected


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("pivot orders on customer using sum(amount)", "must be SELECT"),
        ("select columns('a.*') from orders", "Cannot find column 'x'"),
        ("select r.range as x from range(10) r", "which `sources` does not list"),
        ("select customer, amount as x from orders union all by name select age as x from people", "by position"),
        ("select ((", "Line 1, Col: 9. select (("),
        ("", "no query"),
    ],
)
def test_a_query_that_cannot_be_followed_says_why_and_nothing_fails(sql, problem):
    found = trace(sql, columns=["x"], sources=SOURCES, declared=DECLARED)

    assert found.columns == {}
    assert problem in str(found.problem)


def test_every_shipped_view_can_be_traced():
    sources = [IngestionSpec.model_validate(attributes(name)) for name in ("nycflights", "nycplanes")]
    declared = {f"{one.name}/{name}": table.columns for one in sources for name, table in one.tables.items()}
    columns = {}
    for name in ("carrier_delay", "origin_delay", "origin_weather", "plane"):
        spec = FeatureViewSpec.model_validate(attributes(name))
        found = trace(
            read_sql(spec.sql, base=DEFS / name), columns=spec.columns, sources=spec.sources, declared=declared
        )
        assert found.problem is None
        columns |= found.columns

    flights, landing = "nycflights/flights", ["air_time", "dep_delay", "minute", "time_hour"]
    assert columns["carrier_arr_delay_7d"] == [(flights, "arr_delay")]
    assert columns["carrier_arrivals_7d"] == []
    assert columns["origin_dep_delay_1h"] == [(flights, "dep_delay")]
    assert columns["temp"] == [("nycflights/weather", "temp")]
    assert columns["plane_year"] == [("nycplanes/planes", "year")]
    spec = FeatureViewSpec.model_validate(attributes("carrier_delay"))
    found = trace(
        read_sql(spec.sql, base=DEFS / "carrier_delay"),
        columns=["event_timestamp"],
        sources=spec.sources,
        declared=declared,
    )
    assert found.columns["event_timestamp"] == [(flights, column) for column in landing]


def attributes(name: str) -> dict:
    return yaml.safe_load((DEFS / name / "defs.yaml").read_text())["attributes"]
