"""`mlops sql`: the point-in-time query of a model, read back in every dialect and run on a real PostgreSQL."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from features.warehouse_tables import load, run
from features.world import definition, view
from typer.testing import CliRunner

from mlops_assets.cli.app import Dialect as CliDialect
from mlops_assets.cli.app import app
from mlops_assets.features.dialects import DIALECTS, NotPortable
from mlops_assets.features.join import JoinedView, point_in_time_join
from mlops_assets.features.warehouse import warehouse_query
from mlops_assets.lake.engine import attach_arrow, connect
from tests.services import postgres  # noqa: F401  fixture

FORBIDDEN = r"\b(ASOF|QUALIFY|RANGE|LATERAL|MAX_BY|ARG_MAX|MATCH_CONDITION|TO_MINUTES)\b"
T0 = datetime(2024, 3, 10, 5, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def printed(dialect: str, *options: str) -> str:
    result = CliRunner().invoke(app, ["sql", "flight_delay", "--dialect", dialect, *options])
    assert result.exit_code == 0, result.output
    return result.output


def spine_definition(scalar: str, **spec: Any):
    return definition(
        view(**spec), spine_sql=f"select *, {scalar} as made, ordered_at as prediction_time, 1 as label from orders"
    )


@each_dialect
def test_the_query_of_the_demo_reads_back_in_its_dialect_and_needs_nothing_special(dialect):
    text = printed(dialect)

    (statement,) = [tree for tree in sqlglot.parse(text, read=dialect) if tree is not None]

    assert not re.search(FORBIDDEN if dialect != "duckdb" else FORBIDDEN.replace("|TO_MINUTES", ""), text.upper())
    assert [name.lower() for name in statement.named_selects][-4:] == ["pressure", "humid", "plane_year", "plane_seats"]
    assert "features.carrier_delay" in text.splitlines()[1]


@each_dialect
def test_the_spine_may_be_a_table_of_the_warehouse(dialect):
    text = printed(dialect, "--spine", "ml.asked").lower()

    assert "nycflights" not in text
    assert re.search(r'[`"]ml[`"]\.[`"]asked[`"]', text)


def test_the_command_knows_every_dialect():
    assert {one.value for one in CliDialect} == set(DIALECTS)


@pytest.mark.parametrize(
    ("scalar", "named"),
    [
        ("strftime(ordered_at, '%Y')", "strftime()"),
        ("mystery(amount)", "mystery()"),
        ("max_by(amount, ordered_at)", "arg_max()"),
        ("list_sum([amount])", "list_sum()"),
        (
            "avg(amount) over (order by ordered_at range between interval 1 day preceding and current row)",
            "range window",
        ),
        ("to_minutes(3)", "to_minutes()"),
    ],
)
def test_what_a_warehouse_may_understand_otherwise_is_refused_by_name(scalar, named):
    with pytest.raises(NotPortable, match="--spine") as refused:
        warehouse_query(spine_definition(scalar), "snowflake")

    assert named.removesuffix(")") in refused.value.found.lower()


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select * from orders qualify row_number() over (order by order_id) = 1", "QUALIFY"),
        ("select * from orders o asof join orders p on o.ordered_at >= p.ordered_at", "ASOF JOIN"),
        ("select * exclude (amount) from orders", "EXCLUDE"),
        ("select customer, count(*) from orders group by all", "GROUP BY ALL"),
        ("select distinct on (customer) * from orders", "DISTINCT ON"),
        ("select * from orders, lateral (select 1)", "LATERAL"),
    ],
)
def test_a_construct_that_others_lack_is_refused_by_name(sql, named):
    with pytest.raises(NotPortable, match=named):
        warehouse_query(definition(view(), spine_sql=sql), "bigquery")


SPINE = pa.table(
    {
        "order_id": pa.array(range(50), pa.int64()),
        "customer": pa.array([("ann", "bob", None, "eve")[i % 4] for i in range(50)]),
        "amount": pa.array([float(i) for i in range(50)]),
        "ordered_at": pa.array([T0 + i * timedelta(minutes=25) for i in range(50)], TIME),
        "closed_at": pa.array([None if i % 7 == 0 else T0 + i * timedelta(hours=1) for i in range(50)], TIME),
        "returned": pa.array([None if i % 7 == 0 else i % 3 == 0 for i in range(50)]),
    }
)
# Late rows, corrections, ties in one time or the other, and rows that are known before they happen.
ROWS = sorted(
    {(who, (a * 7) % 20, (b * 5) % 23) for who in ("ann", "bob", None) for a in range(9) for b in range(4)}, key=str
)
RETURNS = pa.table(
    {
        "customer": pa.array([who for who, _, _ in ROWS]),
        "event_timestamp": pa.array([T0 + event * timedelta(hours=1) for _, event, _ in ROWS], TIME),
        "known_at": pa.array([T0 + known * timedelta(hours=1) for _, _, known in ROWS], TIME),
        "return_share": pa.array([float(number) for number in range(len(ROWS))]),
    }
)


@pytest.mark.service
@pytest.mark.parametrize("ttl_days", [None, 0.25, 0.1])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_postgresql_gives_the_rows_of_duckdb(postgres, ttl_days, zone):  # noqa: F811  the fixture
    wanted = definition(view(ttl_days=ttl_days))
    load(postgres, "shop.orders", SPINE)
    load(postgres, "features.returns", RETURNS)

    found = run(postgres, warehouse_query(wanted, "postgres"), zone=zone)

    spec = wanted.views[0].spec
    spine = SPINE.rename_columns({"ordered_at": "prediction_time"})
    with connect() as con:
        attach_arrow(con, "returns", RETURNS)
        joined = point_in_time_join(con, spine, [JoinedView(spec, "returns", ("return_share",))])
    expected = {row["order_id"]: (row["prediction_time"], row["return_share"]) for row in joined.to_pylist()}
    assert {row["order_id"]: (row["prediction_time"], row["return_share"]) for row in found} == expected
    assert len(found) == 50
    assert 10 < joined["return_share"].null_count < 45


@pytest.mark.service
def test_scalars_mean_the_same_on_postgresql(postgres):  # noqa: F811  the fixture
    scalars = [
        "dayofweek(make_date(2024, 3, 1 + order_id::int % 28))",
        "(ordered_at + to_minutes(order_id::int * 3) - to_hours(2) + interval 90 second)::varchar",
        "coalesce(nullif(customer, 'bob'), 'nobody')",
        "case when amount between 3 and 9 then 1 else 0 end",
        "greatest(amount, 7) + least(amount, 3)",
        "amount / 4",
    ]
    load(postgres, "shop.orders", SPINE)
    load(postgres, "features.returns", RETURNS)
    for scalar in scalars:
        sql = f"""
            select order_id, customer, ({scalar}) as amount, ordered_at as prediction_time, returned::int as label,
                   closed_at as label_known_at
            from orders
        """
        found = run(postgres, warehouse_query(definition(view(), spine_sql=sql), "postgres"))
        with connect() as con:
            con.register("orders", SPINE)
            expected = con.sql(sql).to_arrow_table().to_pylist()
        columns = ("order_id", "amount", "prediction_time", "label", "label_known_at")
        assert sorted(tuple(row[c] for c in columns) for row in found) == sorted(
            tuple(row[c] for c in columns) for row in expected
        ), scalar
