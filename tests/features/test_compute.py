"""A view's query: what is refused and how, and what a refresh leaves behind."""

from pathlib import Path

import pyarrow as pa
import pytest
from features.world import SCHEMA, Shop, at, order, view

from mlops_assets.features.compute import DuplicateFeatureRows
from mlops_assets.features.query import MissingColumns, NullTimes, QueryFailed
from mlops_assets.lake.identity import identity
from mlops_assets.lake.tables import TableNotFound, read

SIMPLE = "select customer, ordered_at as event_timestamp, ordered_at as known_at, amount as spent from orders"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop.of(tmp_path, [order(3, 2, closed=1), order(1, 1, closed=1, customer="bob"), order(2, 1, closed=1)])


def test_a_view_holds_its_columns_in_order_of_entity_and_time(shop):
    (refreshed,) = shop.refresh(view(f"{SIMPLE};", feature="spent"))

    assert read(refreshed.uri).to_pylist() == [
        {"customer": name, "event_timestamp": at(day), "known_at": at(day), "spent": spent}
        for name, day, spent in [("ann", 1, 2.0), ("ann", 2, 3.0), ("bob", 1, 1.0)]
    ]
    assert refreshed.rows == 3


def test_an_unknown_entity_comes_first(shop):
    (refreshed,) = shop.refresh(
        view(SIMPLE.replace("customer", "nullif(customer, 'bob') as customer"), feature="spent")
    )

    assert read(refreshed.uri)["customer"].to_pylist() == [None, "ann", "ann"]


def test_columns_that_nobody_declared_stay_out(shop):
    (refreshed,) = shop.refresh(view(SIMPLE.replace("from", ", order_id from"), feature="spent"))

    assert read(refreshed.uri).column_names == ["customer", "event_timestamp", "known_at", "spent"]


def test_a_refresh_may_be_repeated(shop):
    first, second = (shop.refresh(view())[0] for _ in range(2))

    assert identity(read(first.uri, version=first.version)) == identity(read(second.uri, version=second.version))
    assert (first.rows, first.statistics) == (second.rows, second.statistics)


def test_times_without_a_zone_and_dates_count_as_utc(shop):
    sql = (
        "select customer, ordered_at::date as event_timestamp, ordered_at::timestamp as known_at, 1 as one from orders"
    )
    (refreshed,) = shop.refresh(view(sql, feature="one"))

    table = read(refreshed.uri)
    assert table["event_timestamp"].to_pylist() == table["known_at"].to_pylist() == [at(1), at(2), at(1)]


@pytest.mark.parametrize(
    ("column", "minimum", "mean", "maximum", "null_share", "distinct"),
    [
        ("case when amount < 3 then amount end", 1.0, 1.5, 2.0, 1 / 3, 2),
        ("amount::decimal(9, 2)", 1.0, 2.0, 3.0, 0.0, 3),
        ("order_id", 1.0, 2.0, 3.0, 0.0, 3),
        ("customer", None, None, None, 0.0, 2),
        ("null::double", None, None, None, 1.0, 0),
    ],
)
def test_statistics_of_a_feature(shop, column, minimum, mean, maximum, null_share, distinct):
    (refreshed,) = shop.refresh(view(SIMPLE.replace("amount", column), feature="spent"))

    found = refreshed.statistics["spent"]
    assert (found.minimum, found.mean, found.maximum, found.distinct) == (minimum, mean, maximum, distinct)
    assert found.null_share == pytest.approx(null_share)


def test_an_empty_view_is_a_view(shop):
    (refreshed,) = shop.refresh(view(f"{SIMPLE} where false", feature="spent"))

    assert (refreshed.rows, read(refreshed.uri).num_rows) == (0, 0)
    assert refreshed.statistics["spent"].null_share == 0


def test_sql_that_does_not_compile_is_refused_with_the_words_of_duckdb(shop):
    with pytest.raises(
        QueryFailed, match=r'SQL of features/returns: found .*"amont" not found.*\nCandidate bindings: "amount"'
    ):
        shop.refresh(view(SIMPLE.replace("amount", "amont"), feature="spent"))


def test_an_alias_that_nobody_declared_is_refused(shop):
    with pytest.raises(QueryFailed, match="Table with name weather does not exist"):
        shop.refresh(view(SIMPLE.replace("from orders", "from weather"), feature="spent"))


def test_sql_that_fails_on_a_row_is_refused(shop):
    with pytest.raises(QueryFailed, match=r"Could not convert string '(ann|bob)'"):
        shop.refresh(view(SIMPLE.replace("amount", "customer::int"), feature="spent"))


def test_a_comment_at_the_end_does_no_harm(shop):
    assert shop.refresh(view(f"{SIMPLE} -- the end", feature="spent"))[0].rows == 3


def test_missing_columns_are_named(shop):
    sql = "select customer, ordered_at as event_timestamp, amount from orders"

    with pytest.raises(MissingColumns, match=r"found columns customer, event_timestamp, amount.*also known_at, spent"):
        shop.refresh(view(sql, feature="spent"))


@pytest.mark.parametrize("time", ["event_timestamp", "known_at"])
def test_rows_without_a_time_are_refused(shop, time):
    sql = SIMPLE.replace(f"ordered_at as {time}", f"case when amount > 1 then ordered_at end as {time}")

    with pytest.raises(NullTimes, match=f"{time} is null in 1 of 3 rows"):
        shop.refresh(view(sql, feature="spent"))


def test_repeated_rows_are_refused_by_name(shop):
    shop.publish(pa.Table.from_pylist([order(n, 1, closed=1, customer=c) for n, c in enumerate("aab")], SCHEMA))

    with pytest.raises(DuplicateFeatureRows, match=r"customer=a, event_timestamp=2024-03-02 .*, rows found=2") as found:
        shop.refresh(view(SIMPLE, feature="spent"))

    assert "customer=b" not in str(found.value)


def test_a_repeated_null_entity_is_refused_too(shop):
    shop.publish(pa.Table.from_pylist([order(n, 1, closed=1) | {"customer": None} for n in range(2)], SCHEMA))

    with pytest.raises(DuplicateFeatureRows, match="customer=None"):
        shop.refresh(view(SIMPLE, feature="spent"))


def test_a_refused_view_leaves_the_last_one(shop):
    (good,) = shop.refresh(view(SIMPLE, feature="spent"))
    with pytest.raises(NullTimes):
        shop.refresh(view(SIMPLE.replace("ordered_at as known_at", "null as known_at"), feature="spent"))

    assert read(good.uri).num_rows == 3


def test_a_source_that_was_never_published_is_refused(shop):
    with pytest.raises(TableNotFound, match="raw/shop/nothing"):
        shop.refresh(view(sources={"orders": "shop/nothing"}))
