"""Logged predictions replayed through the offline path: clean logs pass, and every kind of mutation is named."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from features.world import SCHEMA, SPINE_SQL, Shop, at, definition, many_orders, order, view, window

from mlops_assets.features.definition import VectorDefinition
from mlops_assets.features.request import Request
from mlops_assets.features.skew import IncompleteLog, Skew, check_skew
from mlops_assets.features.spine import window_spine
from mlops_assets.features.vectors import StaleView, window_vectors

ALL = window(0, 30)
AMOUNTS_SQL = """
    select customer, ordered_at as event_timestamp, ordered_at + interval 1 hour as known_at, amount as last_amount
    from orders
"""


def doubled(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"double": columns["amount"] * 2}


def model(*, request: Request | None = None, **spec: object) -> VectorDefinition:
    views = view(), view(AMOUNTS_SQL, name="amounts", feature="last_amount", **spec)
    return definition(*views, request=request or Request(("amount",), doubled, b"2"))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop.of(tmp_path, many_orders())
    shop.refresh(*model().views)
    return shop


def log_of(shop: Shop, wanted: VectorDefinition) -> pa.Table:
    """Return what scoring keeps of a window: the vectors without their labels, in any order."""
    vectors = window_vectors(wanted, lake=shop.lake, window=ALL).drop_columns(["label", "label_known_at"])
    return vectors.take(np.random.default_rng(1).permutation(vectors.num_rows))


def replay(
    shop: Shop, log: pa.Table, wanted: VectorDefinition, *, samples: int = 1000, seed: int = 0, spine: bool = True
) -> Skew:
    rows = window_spine(wanted, lake=shop.lake, window=ALL) if spine else None
    return check_skew(log, wanted, lake=shop.lake, samples=samples, seed=seed, spine=rows)


def with_value(log: pa.Table, number: int, name: str, value: object) -> pa.Table:
    """Return a log in which one order has another value."""
    rows = zip(log["order_id"].to_pylist(), log[name].to_pylist(), strict=True)
    values = [value if key == number else old for key, old in rows]
    return log.set_column(log.column_names.index(name), name, pa.array(values, log[name].type))


@pytest.mark.parametrize("spine", [True, False], ids=["against the spine", "the log alone"])
def test_a_clean_log_passes(shop, spine):
    found = replay(shop, log_of(shop, model()), model(), spine=spine)

    assert (found.passed, found.findings, found.not_logged) == (True, (), ())
    assert found.checked_rows == found.logged_rows == 60
    assert {"return_share", "last_amount", "double", "amount"} <= set(found.compared)


def test_a_request_function_that_changed_is_named_with_its_rows_and_largest_error(shop):
    log = log_of(shop, model())
    tripled = Request(("amount",), lambda columns: {"double": columns["amount"] * 3}, b"3")

    (finding,) = replay(shop, log, model(request=tripled)).findings

    nonzero = [row["amount"] for row in many_orders() if row["amount"]]
    assert (finding.feature, finding.rows, finding.nulls) == ("double", len(nonzero), 0)
    assert finding.largest_error == max(nonzero)
    assert str(finding).startswith("double: 59 rows differ, by up to 59 (order_id=1")
    assert "2.0 was logged, 3.0 is computed" in finding.example


def test_a_view_that_changed_without_rescoring_is_named_and_no_other(shop):
    log = log_of(shop, model())
    changed = view(AMOUNTS_SQL.replace("amount as", "amount + 1 as"), name="amounts", feature="last_amount")
    wanted = replace(model(), views=(view(), changed))
    with pytest.raises(StaleView, match="features/amounts"):
        replay(shop, log, wanted)

    shop.refresh(changed)
    (finding,) = replay(shop, log, wanted).findings

    known = [row for row in log.to_pylist() if row["last_amount"] is not None]
    assert (finding.feature, finding.rows, finding.largest_error) == ("last_amount", len(known), 1.0)


@pytest.mark.parametrize("spine", [True, False], ids=["against the spine", "the log alone"])
@pytest.mark.parametrize(
    ("name", "value", "error", "nulls"),
    [("return_share", 0.75, 0.25, 0), ("last_amount", None, None, 1), ("double", 81.0, 1.0, 0)],
)
def test_one_wrong_value_in_the_log_is_found(shop, spine, name, value, error, nulls):
    log = log_of(shop, model())
    before = log.filter(pc.field("order_id") == 40)[name][0].as_py()
    if name == "return_share":
        value = before + 0.25

    (finding,) = replay(shop, with_value(log, 40, name, value), model(), spine=spine).findings

    assert (finding.feature, finding.rows, finding.nulls) == (name, 1, nulls)
    assert finding.largest_error == (None if error is None else pytest.approx(error))
    assert finding.example == f"order_id=40: {value!r} was logged, {before!r} is computed"


def test_a_wrong_input_is_found_where_the_spine_knows_better(shop):
    log = with_value(log_of(shop, model()), 40, "amount", 41.0)

    (finding,) = replay(shop, log, model()).findings
    alone = replay(shop, log, model(), spine=False).findings

    assert (finding.feature, finding.rows, finding.largest_error) == ("amount", 1, 1.0)
    assert [one.feature for one in alone] == ["double"]  # of the log alone, what was made of the input tells


def test_another_time_of_prediction_is_found(shop):
    log = log_of(shop, model())
    later = definition(
        *model().views,
        spine_sql=SPINE_SQL.replace(
            "ordered_at as prediction_time", "ordered_at + interval 1 microsecond as prediction_time"
        ),
        request=model().request,
    )

    assert ("prediction_time", 60) in [(one.feature, one.rows) for one in replay(shop, log, later).findings]


def test_a_prediction_that_the_spine_does_not_have_is_named(shop):
    log = log_of(shop, model())
    shop.publish(pa.Table.from_pylist([row for row in many_orders() if row["order_id"] != 7], SCHEMA))

    finding = replay(shop, log, model()).findings[0]

    assert (finding.feature, finding.rows) == ("the row of the spine", 1)
    assert finding.example == "order_id=7: logged, and not in the spine"


def test_raw_rows_that_came_late_and_claim_to_have_been_known_are_skew(shop):
    log = log_of(shop, model())
    late = order(500, 10.1, closed=None, customer="ann", amount=1e6)
    shop.publish(pa.Table.from_pylist([*many_orders(), late], SCHEMA))
    shop.refresh(*model().views)

    (finding,) = replay(shop, log, model()).findings

    assert finding.feature == "last_amount"
    assert "1000000.0 is computed" in finding.example


def test_rounding_in_the_ninth_digit_is_no_skew_and_in_the_eighth_is(shop):
    log = log_of(shop, model())
    within, beyond = (with_value(log, 50, "double", 100 * (1 + error)) for error in (5e-10, 5e-9))

    assert replay(shop, within, model()).passed
    assert [one.feature for one in replay(shop, beyond, model()).findings] == ["double"]


def test_a_log_with_numbers_of_json_is_compared_as_numbers(shop):
    wanted = definition(view(AMOUNTS_SQL.replace("amount as", "order_id as"), name="amounts", feature="last_amount"))
    shop.refresh(*wanted.views)
    log = log_of(shop, wanted)
    assert log["last_amount"].type == pa.int64()
    place = log.column_names.index("last_amount")

    as_json = log.set_column(place, "last_amount", log["last_amount"].cast(pa.float64()))
    wrong = as_json.set_column(place, "last_amount", pc.add(as_json["last_amount"], 0.5))

    assert replay(shop, as_json, wanted).passed
    assert not replay(shop, wrong, wanted).passed


def test_samples_are_the_same_rows_however_the_log_is_ordered(shop):
    log = log_of(shop, model())
    numbers = log["order_id"].to_numpy()

    def wrong(which: np.ndarray) -> pa.Table:
        values = np.where(which, -1.0, log["double"].to_numpy())
        return log.set_column(log.column_names.index("double"), "double", pa.array(values))

    def seen(seed: int, flip: bool) -> list[int]:
        """Return how many of the samples have a 1 at each place of their binary number, and how many there are."""
        logs = [wrong(numbers >> place & 1 == 1) for place in range(6)] + [wrong(numbers >= 0)]
        logs = [one.take(np.arange(60)[::-1]) if flip else one for one in logs]
        found = [replay(shop, one, model(), samples=10, seed=seed, spine=False) for one in logs]
        assert {one.checked_rows for one in found} == {10}
        return [sum(finding.rows for finding in one.findings) for one in found]

    first = seen(0, flip=False)
    assert first[-1] == 10
    assert first == seen(0, flip=True)
    assert first != seen(1, flip=False)


def test_a_log_without_a_feature_says_so_and_compares_the_others(shop):
    log = log_of(shop, model()).drop_columns(["return_share"])

    found = replay(shop, log, model())

    assert (found.passed, found.not_logged) == (True, ("return_share",))


def test_a_log_that_cannot_be_replayed_is_refused(shop):
    log = log_of(shop, model()).drop_columns(["customer"])

    with pytest.raises(IncompleteLog, match="also customer"):
        replay(shop, log, model(), spine=False)
    assert replay(shop, log, model()).passed  # the spine knows the customer


def test_an_empty_log_is_no_skew(shop):
    found = replay(shop, log_of(shop, model()).slice(0, 0), model(), spine=False)

    assert (found.passed, found.checked_rows) == (True, 0)


def as_served(rows: list[dict], asked: datetime, filled: datetime, *, ttl_days: float | None) -> float | None:
    """Return what a store that was filled at a time answers: by loop over the rows that were known then."""
    known = [row for row in rows if row["ordered_at"] + (at(1) - at(0)) / 24 <= filled]
    newest = max(known, key=lambda row: row["ordered_at"], default=None)
    if newest is None or (ttl_days is not None and (asked - newest["ordered_at"]).total_seconds() > ttl_days * 86400):
        return None
    return newest["amount"]


@pytest.mark.parametrize("ttl_days", [None, 0.5])
def test_a_store_that_was_filled_earlier_is_no_skew_if_the_log_says_when(tmp_path, ttl_days):
    shop, wanted = Shop.of(tmp_path, many_orders()), model(ttl_days=ttl_days)
    wanted = replace(wanted, views=wanted.views[1:], features=wanted.features[1:])
    shop.refresh(*wanted.views)
    fresh = log_of(shop, wanted)
    filled = [time.replace(hour=0, minute=0, second=0) for time in fresh["prediction_time"].to_pylist()]  # at midnight
    served = [
        as_served(
            [o for o in many_orders() if o["customer"] == row["customer"]],
            row["prediction_time"],
            at_,
            ttl_days=ttl_days,
        )
        for row, at_ in zip(fresh.to_pylist(), filled, strict=True)
    ]
    log = fresh.set_column(fresh.column_names.index("last_amount"), "last_amount", pa.array(served, pa.float64()))
    assert not replay(shop, log, wanted, spine=False).passed  # taken at its own time the log is stale

    dated = log.append_column("features_as_of", pa.array(filled, pa.timestamp("us", "UTC")))

    assert replay(shop, dated, wanted, spine=False).passed
    assert replay(shop, dated, wanted).passed
    assert [one.feature for one in replay(shop, with_value(dated, 40, "last_amount", -1.0), wanted).findings] == [
        "last_amount"
    ]


def test_a_store_filled_after_the_request_may_not_have_been_used(shop):
    log = log_of(shop, model())
    after = log.append_column(
        "features_as_of", pc.add(log["prediction_time"], pa.scalar(86_400_000_000, pa.duration("us")))
    )

    assert replay(shop, after, model(), spine=False).passed
