"""Four leaks as people make them, each beside its clean twin: the leak is caught and named, the twin passes.

The leaky view of every pair differs from its twin by one small and plausible mistake.
"""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from features.world import KNOWN_AT, SPINE_SQL, Shop, at, definition, many_orders, view

from mlops_assets.contract.known_at import effective
from mlops_assets.contract.spec import KnownAtSpec, TableSpec
from mlops_assets.features.leakage import Leakage

RATINGS = TableSpec(
    description="What a customer thinks of the shop; people change their minds.",
    key=["customer", "rated_at"],
    columns={"customer": "VARCHAR", "rated_at": "TIMESTAMPTZ", "rating": "DOUBLE"},
    publish="history",
    known_at=KnownAtSpec(row="rated_at"),
)
# A window that reaches two days ahead, against one that ends with its row.
SPENDING = """
    select customer, ordered_at as event_timestamp, ordered_at as known_at,
           sum(amount) over (partition by customer order by ordered_at range between interval 2 day {window}) as spent_2d
    from orders
"""
AHEAD, BEHIND = "preceding and interval 2 day following", "preceding and current row"
# The newest version of each rating stamped with the time of the first, against every version with its own.
CORRECTED = """
    select customer, rated_at as event_timestamp, rated_at as known_at, arg_max(rating, revision) as rating
    from ratings where not is_deleted group by all
"""
EVERY_VERSION = """
    select customer, rated_at as event_timestamp, greatest(rated_at, case when revision > 0 then recorded_at end) as known_at,
           rating
    from ratings where not is_deleted
"""
# Returns of a customer with the very order among them, against the returns that were known when the order was placed.
WITH_OWN_LABEL = """
    select customer, ordered_at as event_timestamp, ordered_at as known_at,
           count(*) filter (returned) over (partition by customer order by ordered_at range unbounded preceding) as returns
    from orders
"""
CLOSED_BEFORE = """
    select customer, closed_at as event_timestamp, closed_at as known_at,
           count(*) filter (returned) over (partition by customer order by closed_at range unbounded preceding) as returns
    from orders where closed_at is not null
    qualify row_number() over (partition by customer, closed_at order by order_id) = 1
"""
# How long the order took to close, known only when it is closed.
OPEN_DAYS = """
    select customer, ordered_at as event_timestamp, {known_at} as known_at,
           date_diff('hour', ordered_at, closed_at) / 24 as open_days
    from orders where closed_at is not null
"""


def ratings() -> pa.Table:
    """Return a table in the layout of `history`: a rating every other day, each third corrected four days later."""
    rng, rows = np.random.default_rng(5), []
    for number in range(12):
        rated, first = at(2 * number - 2), {"revision": 0, "is_deleted": False, "rating": float(rng.integers(1, 6))}
        customer = "bob" if number % 4 == 3 else "ann"
        rows.append({"customer": customer, "rated_at": rated, "recorded_at": rated, **first})
        if number % 3 == 0:
            later = {"recorded_at": rated + timedelta(days=4), "revision": 1, "rating": first["rating"] + 10}
            rows.append({**rows[-1], **later})
    return pa.Table.from_pylist(rows)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop.of(tmp_path, many_orders()).with_known_at(effective(RATINGS), "ratings")
    shop.publish(ratings(), "ratings")
    return shop


def search(shop: Shop, sql: str, feature: str, *, samples: int = 15) -> Leakage:
    """Search a model that also reads a clean view, so that a leak must be told from what is none."""
    sources = {"orders": "shop/orders", "ratings": "shop/ratings"}
    return shop.search(definition(view(), view(sql, name="suspect", feature=feature, sources=sources)), samples=samples)


@pytest.mark.parametrize(
    ("leaky", "clean", "feature"),
    [
        (SPENDING.format(window=AHEAD), SPENDING.format(window=BEHIND), "spent_2d"),
        (CORRECTED, EVERY_VERSION, "rating"),
        (WITH_OWN_LABEL, CLOSED_BEFORE, "returns"),
        (OPEN_DAYS.format(known_at="ordered_at"), OPEN_DAYS.format(known_at="closed_at"), "open_days"),
    ],
    ids=["future window", "corrected value", "label in the feature", "column before its own known_at"],
)
def test_a_planted_leak_is_named_and_its_clean_twin_passes(shop, leaky, clean, feature):
    caught, passed = search(shop, leaky, feature), search(shop, clean, feature)

    assert [finding.feature for finding in caught.findings] == [feature]
    assert caught.findings[0].rows > 0
    assert str(caught.findings[0]).startswith(f"{feature}: {caught.findings[0].rows} rows hold what was not known")
    assert (passed.passed, passed.findings) == (True, ())
    assert passed.checked_rows == caught.checked_rows == 15


def test_the_corrected_value_is_wrong_in_just_the_rows_before_its_correction(shop):
    (finding,) = search(shop, CORRECTED, "rating", samples=1000).findings

    versions = ratings().to_pylist()
    fooled = [
        order
        for order in many_orders()
        if order["closed_at"]
        and (newest := _newest_rated(versions, order))
        and newest["recorded_at"] > order["ordered_at"]
    ]
    assert (finding.rows, finding.largest_error) == (len(fooled), 10.0)


def _newest_rated(versions: list[dict], order: dict) -> dict | None:
    """Return the last version of the newest rating that the order's customer had given by then."""
    own = [one for one in versions if one["customer"] == order["customer"] and one["rated_at"] <= order["ordered_at"]]
    return max(own, key=lambda one: (one["rated_at"], one["revision"]), default=None)


def test_a_leak_in_the_query_of_the_spine_is_named_like_one_in_a_view(shop):
    """A request input that is a column before its own `known_at`; its twin is a column that is known with the row."""
    assert "returned" not in KNOWN_AT.known_with_row
    leaky, clean = (
        definition(view(), spine_sql=SPINE_SQL.replace("amount,", f"{column} as amount,"))
        for column in ("returned::int", "amount * 2")
    )

    assert [finding.feature for finding in shop.search(leaky, samples=5).findings] == ["amount"]
    assert shop.search(clean, samples=5).passed
