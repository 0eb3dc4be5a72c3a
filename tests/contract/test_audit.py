"""The audit against its definition, on rows that break several rules at once."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from contract.judging import finding, judge
from hypothesis import given, settings
from hypothesis import strategies as st
from ingestion.world import NOW, order, orders, shop_spec

from mlops_assets.contract.checks import check_names
from mlops_assets.contract.scan import RuleDoesNotRun
from mlops_assets.contract.types import SchemaChanged
from mlops_assets.lake.tables import overwrite, snapshot

RULES = [
    {"name": "city_present", "sql": "city is not null"},
    {"name": "amount_range", "sql": "amount between 0 and 5"},
    {"name": "amount_usual", "sql": "amount < 3", "severity": "warn"},
]


@settings(max_examples=50)  # each opens a database
@given(
    rows=st.lists(
        st.builds(
            order,
            order_id=st.integers(1, 4),
            day=st.integers(1, 2),
            amount=st.none() | st.integers(-1, 6).map(float),
            city=st.none() | st.sampled_from(["Bergen", "Oslo"]),
        ),
        max_size=12,
    )
)
def test_every_row_is_either_clean_or_set_aside_with_exactly_its_broken_rules(rows):
    """By hand: null is broken, only the first of a key in order of the other columns (nulls last) may stay."""

    def rank(row: dict) -> tuple:
        return row["placed_at"], row["amount"] is None, row["amount"] or 0.0, row["city"] is None, row["city"] or ""

    broken: list[tuple[dict, list[str]]] = []
    seen: set[int] = set()
    for row in sorted(rows, key=lambda row: (row["order_id"], *rank(row))):
        amount = row["amount"]
        failed = [
            *(["city_present"] if row["city"] is None else []),
            *(["amount_range"] if amount is None or not 0 <= amount <= 5 else []),
            *(["amount_usual"] if amount is None or not amount < 3 else []),
            *(["in_window"] if row["placed_at"].day != 1 else []),
            *(["unique_key"] if row["order_id"] in seen else []),
        ]
        seen.add(row["order_id"])
        broken.append((row, failed))
    outcome = judge(orders(*rows), rules=RULES)
    clean = [row for row, failed in broken if not set(failed) - {"amount_usual"}]
    aside = [(row, failed) for row, failed in broken if set(failed) - {"amount_usual"}]
    assert outcome.clean.to_pylist() == clean
    facts = {"load_id": "L1", "window": "2024-03-01", "quarantined_at": NOW}
    assert outcome.quarantined.to_pylist() == [{**row, "failed_rules": failed, **facts} for row, failed in aside]
    counted = Counter(rule for _, failed in broken for rule in failed)
    for rule in ("city_present", "amount_range", "amount_usual", "in_window", "unique_key"):
        found = finding(outcome, rule)
        assert (found.failed, found.total, found.passed) == (counted[rule], len(rows), counted[rule] == 0)
        assert len(found.sample) == min(counted[rule], 5)
    assert not outcome.blocked


def test_the_order_of_arrival_does_not_matter():
    rows = [order(1, 1, amount) for amount in (3.0, 1.0, None, 2.0)] + [order(0, 1)]
    one, other = judge(orders(*rows)), judge(orders(*reversed(rows)))
    assert one.clean.equals(other.clean)
    assert one.quarantined.equals(other.quarantined)


def test_findings_are_the_checks_in_their_order():
    declared: dict[str, Any] = {
        "rules": RULES,
        "row_count": {"min": 1},
        "null_share": [{"column": "city", "max": 0.5}, {"column": "amount", "max": 0.5}],
        "freshness_days": 1,
    }
    outcome = judge(orders(order(1, 1)), **declared)
    names = [(found.rule, found.severity) for found in outcome.findings]
    assert names == check_names(shop_spec(**declared).tables["orders"])
    assert all(found.passed for found in outcome.findings)


def test_a_block_rule_blocks_and_sets_its_rows_aside():
    rule = {"name": "cheap", "sql": "amount < 2", "severity": "block"}
    assert not judge(orders(order(1, 1)), rules=[rule]).blocked
    outcome = judge(orders(order(1, 1), order(2, 1, 9.0)), rules=[rule])
    assert outcome.blocked
    assert outcome.quarantined["failed_rules"].to_pylist() == [["cheap"]]


@pytest.mark.parametrize(("rows", "passed"), [(0, False), (1, True), (2, True), (3, False)])
def test_the_number_of_rows_has_a_band(rows, passed):
    outcome = judge(orders(*(order(n, 1) for n in range(rows))), row_count={"min": 1, "max": 2, "severity": "block"})
    assert finding(outcome, "row_count").passed is passed
    assert outcome.blocked is not passed


@pytest.mark.parametrize(("nulls", "passed"), [(0, True), (1, True), (2, False), (4, False)])
def test_the_share_of_nulls_has_a_limit(nulls, passed):
    rows = [order(n, 1, city=None if n < nulls else "Oslo") for n in range(4)]
    found = finding(judge(orders(*rows), null_share=[{"column": "city", "max": 0.25}]), "null_share_city")
    assert (found.failed, found.total, found.passed) == (nulls, 4, passed)


def test_nothing_has_no_nulls_but_is_not_fresh():
    outcome = judge(orders(), null_share=[{"column": "city", "max": 0}], freshness_days=1)
    assert finding(outcome, "null_share_city").passed
    assert not finding(outcome, "freshness").passed


@pytest.mark.parametrize(
    ("now", "passed"),
    [
        (datetime(2024, 3, 1, 18, tzinfo=UTC), True),  # the window is not over: six hours old
        (datetime(2024, 3, 2, tzinfo=UTC), False),  # over, and the newest row is twelve hours older
        (NOW, False),  # judged by the end of the window, not by now
    ],
)
def test_freshness_counts_to_the_end_of_the_window_or_to_now(now, passed):
    outcome = judge(orders(order(1, 1, hour=12)), now=now, freshness_days=0.25)
    assert finding(outcome, "freshness").passed is passed
    assert not outcome.blocked


@pytest.mark.parametrize(("hours", "passed"), [(24, True), (25, False)])
def test_freshness_of_a_whole_table_counts_to_now(hours, passed):
    now = datetime(2024, 3, 1 + hours // 24, 12 + hours % 24, tzinfo=UTC)
    declared: dict[str, Any] = {"freshness_days": 1, "time_column": "placed_at"}
    outcome = judge(orders(order(1, 1, hour=12)), window=None, now=now, **declared)
    assert finding(outcome, "freshness").passed is passed


def test_values_that_change_for_a_known_key_are_found_and_rows_that_come_or_go_are_not(tmp_path):
    uri = f"{tmp_path}/t"
    overwrite(uri, orders(order(1, 1, None), order(2, 1, 2.0), order(3, 1, 3.0), order(4, 1, None)))
    now_delivered = orders(order(1, 1, None), order(2, 1, 2.5), order(4, 1, 4.0), order(5, 1))
    found = finding(judge(now_delivered, published=snapshot(uri)), "no_corrections")
    assert (found.failed, found.total, found.severity) == (2, 4, "warn")
    assert [row["order_id"] for row in found.sample] == [2, 4]


def test_a_cell_that_is_known_later_may_come_later(tmp_path):
    known_at = {"row": "placed_at", "columns": {"amount": "placed_at + interval 1 day"}}
    known_at["known_with_row"] = ["order_id", "placed_at", "city"]
    uri = str(tmp_path / "orders")
    overwrite(uri, orders(order(1, 1, None), order(2, 1, 1.0), order(3, 1, 1.0, None)))
    now_known = orders(order(1, 1, 5.0), order(2, 1, None), order(3, 1, 1.0, "Bergen"))

    found = finding(judge(now_known, published=snapshot(uri), known_at=known_at), "no_corrections")

    assert [row["order_id"] for row in found.sample] == [2, 3]  # an amount that went away, a city that was corrected


@pytest.mark.parametrize("sql", ["nope > 1", "amount >", "city + 1 > 0", "city::int > 0"])
def test_a_rule_that_does_not_run_is_named(sql):
    rules = [*RULES, {"name": "wrong", "sql": sql}]
    with pytest.raises(RuleDoesNotRun, match=r"shop/orders, rule wrong \("):
        judge(orders(order(1, 1)), rules=rules)


def test_a_changed_type_is_refused():
    table = orders(order(1, 1))
    with pytest.raises(SchemaChanged, match="shop/orders, column amount: found type string; required DOUBLE"):
        judge(table.set_column(2, "amount", pa.array(["1"])))


@pytest.mark.parametrize(
    ("rows", "earlier", "passed"),
    [
        (4, [], True),  # nothing to compare with
        (4, [100], True),
        (4, [100, 100], False),
        # only the newest two count: their median is 8, and 4 to 12 is within half of it
        (3, [100, 100, 6, 10], False),
        (4, [100, 100, 6, 10], True),
        (12, [6, 10], True),
        (13, [6, 10], False),
    ],
)
def test_the_number_of_rows_is_compared_with_the_windows_before(rows, earlier, passed):
    spec = {"row_count": {"history": {"windows": 2, "share": 0.5}, "severity": "block"}}
    outcome = judge(orders(*(order(n, 1) for n in range(rows))), earlier_rows=earlier, **spec)
    assert finding(outcome, "row_count").passed is passed
    assert outcome.blocked is not passed
