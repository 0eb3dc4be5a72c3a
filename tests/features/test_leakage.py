"""Leaks planted in every place where a person could make one: each is found and named, and nothing else is."""

from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from features.world import SCHEMA, SPINE_SQL, Shop, at, definition, many_orders, order, view

from mlops_assets.contract.known_at import NeverSaidWhenKnown
from mlops_assets.contract.spec import KnownAtSpec
from mlops_assets.features.leak_finding import differences
from mlops_assets.features.leakage import check_leakage
from mlops_assets.features.request import Request

LABEL_ITSELF = """
    select order_id::varchar as customer, ordered_at as event_timestamp, ordered_at as known_at,
           returned::int as own_return
    from orders
"""
FUTURE_WINDOW = """
    select customer, ordered_at as event_timestamp, ordered_at as known_at,
           count(*) over (partition by customer order by ordered_at
                          range between unbounded preceding and interval 2 day following) as orders_around
    from orders
"""
TOO_EARLY = """
    select customer, ordered_at as event_timestamp, ordered_at as known_at,
           sum(returned::int) over (partition by customer order by ordered_at) as returns
    from orders
"""
ALL_TIME = """
    select customer, timestamptz '2024-01-01' as event_timestamp, timestamptz '2024-01-01' as known_at,
           avg(amount) as mean_amount
    from orders group by customer
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.of(tmp_path, many_orders())


def test_features_as_they_were_known_pass(shop):
    found = shop.search(definition(view()), samples=1000)

    assert (found.findings, found.passed) == ((), True)
    assert found.checked_rows == len(found.times) > 40


@pytest.mark.parametrize(
    ("sql", "feature"),
    [(FUTURE_WINDOW, "orders_around"), (TOO_EARLY, "returns"), (ALL_TIME, "mean_amount")],
    ids=["a window that reaches ahead", "stamped when ordered, not when closed", "one mean over all time"],
)
def test_a_view_that_knows_the_future_is_named_and_no_other(shop, sql, feature):
    found = shop.search(definition(view(), view(sql, name="leaky", feature=feature)))

    assert [finding.feature for finding in found.findings] == [feature]
    assert found.findings[0].rows > 5
    assert "in the training set" in found.findings[0].example


def test_the_label_inside_a_feature_is_found_in_every_row(shop):
    spine_sql = SPINE_SQL.replace("customer,", "order_id::varchar as customer,")

    found = shop.search(definition(view(LABEL_ITSELF, name="own", feature="own_return"), spine_sql=spine_sql))

    assert [(finding.feature, finding.rows) for finding in found.findings] == [("own_return", found.checked_rows)]


def test_a_request_input_used_before_it_is_known_is_found(shop):
    spine_sql = SPINE_SQL.replace("amount,", "amount, returned::int as came_back,")

    found = shop.search(definition(spine_sql=spine_sql, request=Request(("amount", "came_back"))))

    assert [(finding.feature, finding.rows) for finding in found.findings] == [("came_back", found.checked_rows)]


def test_a_leak_that_reaches_the_model_through_the_request_function_is_found(shop):
    spine_sql = SPINE_SQL.replace("amount,", "amount, returned::int as came_back,")
    request = Request(("came_back",), lambda columns: {"hint": columns["came_back"] * 2}, b"")

    found = shop.search(definition(spine_sql=spine_sql, request=request))

    assert [finding.feature for finding in found.findings] == ["came_back", "hint"]


def test_a_prediction_time_that_only_the_future_tells_is_found(shop):
    spine_sql = SPINE_SQL.replace("ordered_at as prediction_time", "closed_at - interval 1 hour as prediction_time")
    closed = [row for row in many_orders() if row["closed_at"]]
    shop.publish(pa.Table.from_pylist(closed, SCHEMA))

    found = shop.search(definition(spine_sql=spine_sql))

    assert [(finding.feature, finding.rows) for finding in found.findings] == [
        ("the row of the spine", found.checked_rows)
    ]


def test_a_corrected_value_is_found_unless_the_view_waits_for_it(tmp_path):
    shop = Shop.of(tmp_path, many_orders()).with_known_at(KnownAtSpec(row="arrived_at"), "ratings")
    said = [("ann", at(0), at(0), 3.0), ("bob", at(0), at(0), 4.0), ("ann", at(0), at(5), 1.0)]
    names = ("customer", "rated_at", "arrived_at", "rating")
    shop.publish(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in said]), "ratings")
    waits = "select customer, rated_at as event_timestamp, arrived_at as known_at, rating from ratings"
    jumps = """select customer, rated_at as event_timestamp, rated_at as known_at, arg_max(rating, arrived_at) as latest
               from ratings group by all"""
    sources = {"ratings": "shop/ratings"}

    patient = view(waits, name="patient", feature="rating", sources=sources)
    hasty = view(jumps, name="hasty", feature="latest", sources=sources)
    (finding,) = shop.search(definition(patient, hasty), samples=1000).findings

    before = [o for o in many_orders() if o["customer"] == "ann" and o["ordered_at"] < at(5) and o["closed_at"]]
    assert (finding.feature, finding.rows, finding.largest_error) == ("latest", len(before), 2.0)
    assert "1.0 in the training set, 3.0 was known" in finding.example


def test_what_lost_its_time_with_the_cut_is_unknown_and_no_error(tmp_path):
    # Every order is closed in the end, so the query needs no filter; before, `closed_at` is null.
    shop = Shop.of(tmp_path, [row for row in many_orders() if row["closed_at"]])
    sql = "select customer, ordered_at as event_timestamp, closed_at as known_at, amount as last_closed from orders"

    assert shop.search(definition(view(sql, feature="last_closed"))).passed


def test_a_source_that_never_said_when_it_is_known_is_refused(shop):
    with pytest.raises(NeverSaidWhenKnown, match="Table shop/orders: found no `known_at`"):
        shop.with_known_at(None).search(definition())


def test_the_tables_are_read_at_the_versions_of_the_training_set(shop):
    wanted = definition(view())
    shop.refresh(view())
    built = shop.build(wanted)
    shop.publish(pa.Table.from_pylist([order(1, 1, closed=1, amount=99)], SCHEMA))

    found = check_leakage(built, wanted, lake=shop.lake, known_at=shop.known_at, samples=5, seed=0)

    assert found.passed
    assert found.checked_rows == 5


def test_the_seed_decides_which_times_are_checked(shop):
    first, again, other = (shop.search(definition(), samples=5, seed=seed).times for seed in (1, 1, 2))

    assert first == again != other
    assert list(first) == sorted(set(first))
    assert len(first) == 5


def test_two_views_may_use_one_alias_for_different_tables(tmp_path):
    shop = Shop.of(tmp_path, many_orders()).with_known_at(KnownAtSpec(row="known"), "ages")
    shop.publish(pa.table({"customer": ["ann", "bob"], "known": [at(0), at(2)], "age": [40.0, 50.0]}), "ages")
    sql = "select customer, known as event_timestamp, known as known_at, age from orders"
    ages = view(sql, name="ages", feature="age", sources={"orders": "shop/ages"})

    found = shop.search(definition(ages, view()))

    assert found.passed


nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("one", "other", "rows", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 1e-9], 0, None),
        ([1.0, 2.0], [1.0, 2.0 + 4e-9], 1, pytest.approx(4e-9, rel=1e-6)),
        ([0.0], [1e-300], 1, 1e-300),
        ([1.0, 5.0, 2.0], [3.0, 4.0, 2.0], 2, 2.0),
        ([None, None], [None, 0.0], 1, None),
        ([0.0, None], [None, None], 1, None),
        ([nan, nan], [nan, 1.0], 1, None),
        ([nan, inf], [None, inf], 1, None),
        ([inf, inf, -inf], [inf, 1.0, inf], 2, None),
        ([1, 2], [1, 3], 1, None),
        (["a", None, "b"], ["a", None, "c"], 1, None),
        ([True, None], [True, False], 1, None),
        ([at(0)], [at(0) + timedelta(microseconds=1)], 1, None),
        (["a"], [1.0], 1, None),
        ([None], [None], 0, None),
    ],
)
def test_values_are_compared_exactly_and_numbers_within_rounding(one, other, rows, error):
    with duckdb.connect() as con:
        wanted, known = (pa.table({"key": range(len(values)), "x": values}) for values in (one, other))
        found = differences(con, wanted, known.take(list(range(len(one)))[::-1]), keys=["key"], names=["x"], at=at(0))

    assert [(finding.feature, finding.rows, finding.largest_error) for finding in found] == [("x", rows, error)][:rows]


def test_rows_are_matched_by_all_keys_nulls_included():
    wanted = pa.table({"a": ["x", None, "x", "y"], "b": [1, 1, None, 9], "v": [1.0, 2.0, 3.0, 4.0]})
    known = pa.table({"a": [None, "x", "x", "x"], "b": [1, None, 1, 7], "v": [2.0, 3.0, 1.0, 0.0]})

    with duckdb.connect() as con:
        found = differences(con, wanted, known, keys=["a", "b"], names=["v", "a"], at=at(0))

    assert [(finding.feature, finding.rows) for finding in found] == [("the row of the spine", 1)]
    assert "not there yet" in str(found[0])
