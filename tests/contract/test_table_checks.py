"""Checks of a table as a whole: free SQL, and columns that nobody declared."""

import pyarrow as pa
import pytest
from contract.judging import finding, judge
from ingestion.world import order, orders, shop_spec

from mlops_assets.contract.scan import RuleDoesNotRun
from mlops_assets.contract.verdict import contract_hash
from mlops_assets.lake.tables import overwrite, snapshot

WITH_COUPON = orders(order(1, 1), order(2, 1, city=None)).append_column("coupon", pa.array(["x", None]))


@pytest.mark.parametrize(
    ("sql", "passed"),
    [
        ("select avg(amount) = 2 from staged", True),
        ("select avg(amount) = 3 from staged", False),
        ("select null::boolean", False),
    ],
)
@pytest.mark.parametrize("severity", ["warn", "block"])
def test_free_sql_over_the_new_rows_gives_one_boolean(sql, passed, severity):
    rows = orders(order(1, 1, 1.0), order(2, 1, 3.0))
    outcome = judge(rows, checks=[{"name": "usual", "sql": sql, "severity": severity}])
    assert finding(outcome, "usual").passed is passed
    assert outcome.blocked is (severity == "block" and not passed)
    assert outcome.clean.num_rows == 2


@pytest.mark.parametrize("sql", ["select nope from staged", "select amount from staged", "select true, true", "selec"])
def test_free_sql_that_gives_anything_else_is_named(sql):
    with pytest.raises(RuleDoesNotRun, match=r"rule usual \(.*required a DuckDB query over `staged`"):
        judge(orders(order(1, 1), order(2, 1)), checks=[{"name": "usual", "sql": sql}])


def test_free_sql_sees_the_rows_that_are_set_aside_too():
    rules = [{"name": "paid", "sql": "amount > 0"}]
    checks = [{"name": "all_there", "sql": "select count(*) = 2 from staged"}]
    assert finding(judge(orders(order(1, 1), order(2, 1, 0.0)), rules=rules, checks=checks), "all_there").passed


@pytest.mark.parametrize(
    ("policy", "published", "blocked"), [("add", True, False), ("ignore", False, False), ("refuse", True, True)]
)
def test_a_new_column_is_published_left_out_or_refused(policy, published, blocked):
    outcome = judge(WITH_COUPON, new_columns=policy, rules=[{"name": "city_present", "sql": "city is not null"}])
    assert ("coupon" in outcome.clean.column_names) is published
    assert ("coupon" in outcome.quarantined.column_names) is published
    assert outcome.blocked is blocked
    found = finding(outcome, "schema_unchanged")
    assert (found.passed, found.severity) == (False, "block" if blocked else "warn")
    assert "coupon (string)" in found.detail


@pytest.mark.parametrize("policy", ["add", "ignore", "refuse"])
def test_a_column_that_is_published_already_is_not_new(tmp_path, policy):
    overwrite(f"{tmp_path}/t", WITH_COUPON)
    outcome = judge(WITH_COUPON, published=snapshot(f"{tmp_path}/t"), new_columns=policy)
    assert finding(outcome, "schema_unchanged").passed
    assert "coupon" in outcome.clean.column_names
    assert not outcome.blocked


def test_a_rule_may_not_read_a_column_that_is_left_out():
    with pytest.raises(RuleDoesNotRun, match="rule uses_coupon"):
        judge(WITH_COUPON, new_columns="ignore", rules=[{"name": "uses_coupon", "sql": "coupon is null"}])


def test_the_hash_of_a_contract_follows_what_it_demands():
    def hashed(**table):
        return contract_hash(shop_spec(**table).tables["orders"])

    assert hashed(version=2, description="Other words.", owners=["team:x"]) == hashed()
    assert len(hashed()) == 64
    demands = [
        {"row_count": {"min": 1}},
        {"ranges": [{"column": "amount", "min": 0}]},
        {"python": {"schema": "a:b"}},
        {"new_columns": "refuse"},
        {"key": []},
    ]
    assert len({hashed(**demand) for demand in demands} | {hashed()}) == len(demands) + 1
