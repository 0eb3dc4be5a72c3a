"""Rules about one row: closed lists, bounds and pandera schemas, each against a plain reading of the rule."""

import builtins
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from contract.judging import finding, judge
from hypothesis import given, settings
from hypothesis import strategies as st
from ingestion.world import COLUMNS, order, orders

from mlops_assets.contract.python_check import PanderaMissing
from mlops_assets.contract.scan import RuleDoesNotRun
from tests.conftest import ROOT

AMOUNTS = st.none() | st.sampled_from([-1.0, -0.5, 0.0, 1.0, 2.5, 3.0])


def aside(outcome) -> list[tuple[int, list[str]]]:
    return [(row["order_id"], row["failed_rules"]) for row in outcome.quarantined.to_pylist()]


@settings(max_examples=50)  # each opens a database
@given(st.lists(st.tuples(AMOUNTS, st.sampled_from([None, "Oslo", "it's", "oslo", ""])), max_size=8))
def test_values_and_bounds_hold_or_are_null(cells):
    outcome = judge(
        orders(*(order(n, 1, amount, city) for n, (amount, city) in enumerate(cells))),
        accepted_values=[{"column": "city", "values": ["Oslo", "it's"]}],
        ranges=[{"column": "amount", "min": -0.5, "max": 2.5}],
    )
    expected = []
    for number, (amount, city) in enumerate(cells):
        failed = [
            *(["accepted_city"] if city not in {None, "Oslo", "it's"} else []),
            *(["range_amount"] if amount is not None and not -0.5 <= amount <= 2.5 else []),
        ]
        expected += [(number, failed)] if failed else []
    assert aside(outcome) == expected


@pytest.mark.parametrize(
    ("bounds", "inside"),
    [
        ({"min": "2024-03-01 06:00"}, [6, 7]),
        ({"max": "2024-03-01 06:00"}, [5, 6]),
        ({"min": "2024-03-01", "max": "2024-03-01 05:30"}, [5]),
    ],
)
def test_bounds_may_be_times(bounds, inside):
    outcome = judge(orders(*(order(n, 1, hour=n) for n in (5, 6, 7))), ranges=[{"column": "placed_at", **bounds}])
    assert outcome.clean["order_id"].to_pylist() == inside


@pytest.mark.parametrize(
    ("kind", "type_", "values", "accepted", "kept"),
    [
        ("BOOLEAN", pa.bool_(), [True, False, None], [True], [0, 2]),
        ("INTEGER", pa.int32(), [1, 2, None], [1, 3], [0, 2]),
        ("DECIMAL(6, 2)", pa.decimal128(6, 2), [1, 2, None], [1.0], [0, 2]),
    ],
)
def test_closed_lists_of_other_types(kind, type_, values, accepted, kept):
    rows = orders(*(order(n, 1) for n in range(3))).append_column("extra", pa.array(values, type_))
    rule = {"column": "extra", "values": accepted}
    outcome = judge(rows, columns={**COLUMNS, "extra": kind}, accepted_values=[rule])
    assert outcome.clean["order_id"].to_pylist() == kept


def test_rules_of_one_row_warn_or_block_as_declared():
    rows = orders(order(1, 1, 9.0, "Rome"))
    rule: dict[str, Any] = {"column": "city", "values": ["Oslo"]}
    warned = judge(rows, accepted_values=[{**rule, "severity": "warn"}])
    assert (warned.clean.num_rows, warned.blocked, finding(warned, "accepted_city").passed) == (1, False, False)
    assert judge(rows, accepted_values=[{**rule, "severity": "block"}]).blocked
    assert judge(rows, ranges=[{"column": "amount", "max": 5, "severity": "block"}]).blocked


def test_a_value_of_another_type_is_named_with_its_rule():
    with pytest.raises(RuleDoesNotRun, match=r"rule accepted_amount .*Could not convert string 'Oslo'"):
        judge(orders(order(1, 1)), accepted_values=[{"column": "amount", "values": ["Oslo"]}])


def test_pandera_names_the_rows_that_break_its_schema():
    rows = [order(1, 1), order(101, 1), order(3, 1, -2.0), order(4, 1, None, None), order(5, 1, 60.0)]
    outcome = judge(orders(*rows), python={"schema": "contract.schemas:ORDERS", "name": "orders_schema"})
    assert aside(outcome) == [(3, ["orders_schema"]), (5, ["orders_schema"]), (101, ["orders_schema"])]
    found = finding(outcome, "orders_schema")
    assert (found.failed, found.total, [row["order_id"] for row in found.sample]) == (3, 5, [3, 5, 101])


def test_pandera_rows_are_found_again_whatever_the_order_of_arrival():
    rows = [order(n, 1, -1.0 if n % 3 == 0 else 1.0) for n in range(30)]
    outcome = judge(orders(*reversed(rows)), python={"schema": "contract.schemas:Orders"})
    assert [number for number, _ in aside(outcome)] == list(range(0, 30, 3))


def test_a_pandera_check_of_the_whole_table_names_no_row():
    rows = orders(*(order(n, 1) for n in range(3)))
    outcome = judge(rows, python={"schema": "contract.schemas:FEW", "severity": "block"})
    assert outcome.blocked
    assert outcome.quarantined.num_rows == 0
    assert "few (False)" in finding(outcome, "pandera").detail
    assert not judge(rows.slice(0, 2), python={"schema": "contract.schemas:FEW", "severity": "block"}).blocked


@pytest.mark.parametrize(
    ("schema", "detail"),
    [("ABSENT", "table: column_in_dataframe (paid)"), ("WHOLE", "amount: dtype('int64') (float64)")],
)
def test_a_pandera_column_that_is_absent_or_of_another_type_fails_the_check(schema, detail):
    outcome = judge(orders(order(1, 1)), python={"schema": f"contract.schemas:{schema}"})
    assert not finding(outcome, "pandera").passed
    assert finding(outcome, "pandera").detail == f"all 1 rows keep it; {detail}"
    assert outcome.clean.num_rows == 1


def test_whole_numbers_with_nulls_stay_whole_for_pandera():
    """2**53 + 1 has no float: a detour through floats would break the bound of 2**53 + 1."""
    columns = {**COLUMNS, "big": "BIGINT"}
    rows = orders(order(1, 1), order(2, 1)).append_column("big", pa.array([None, 2**53 + 1]))
    outcome = judge(rows, columns=columns, python={"schema": "contract.schemas:BIG"})
    assert finding(outcome, "pandera").passed


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ("contract.nowhere:schema", "ModuleNotFoundError"),
        ("contract.schemas:NOWHERE", "AttributeError"),
        ("contract.schemas:NO_SCHEMA", "a dict"),
        ("contract.schemas:BROKEN", "KeyError"),
    ],
)
def test_a_pandera_schema_that_does_not_run_is_named(schema, found):
    with pytest.raises(RuleDoesNotRun, match=rf"shop/orders, rule pandera \({schema}\): found {found}.*pandera"):
        judge(orders(order(1, 1)), python={"schema": schema})


def test_without_pandera_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("pandera"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PanderaMissing, match=r"pip install .mlops-assets\[pandera\]"):
        judge(orders(order(1, 1)), python={"schema": "contract.schemas:ORDERS"})


def test_the_time_of_the_audit_is_kept_with_each_row_set_aside():
    now = datetime(2024, 3, 5, 7, tzinfo=UTC)
    outcome = judge(orders(order(1, 1), order(1, 1)), now=now)
    assert outcome.quarantined["quarantined_at"].to_pylist() == [now]
    assert outcome.quarantined.column_names[-4:] == ["failed_rules", "load_id", "window", "quarantined_at"]
    assert judge(orders(order(1, 1))).quarantined.schema == outcome.quarantined.schema


ZONES = """
from datetime import UTC, datetime
from zoneinfo import ZoneInfo
import pyarrow as pa
from mlops_assets.contract.python_check import python_broken
from mlops_assets.contract.rules import PythonCheck
python_broken(pa.table({"order_id": [1]}), PythonCheck(schema="contract.schemas:FEW"), name="shop/orders")
noon = datetime(2024, 3, 10, 12, tzinfo=ZoneInfo("Asia/Kolkata"))
print(pa.array([noon], pa.timestamp("us", "UTC"))[0].as_py().astimezone(UTC).isoformat())
"""


def test_a_pandera_check_leaves_the_time_zones_of_its_process_alone():
    """Importing pandera makes Arrow forget time zones."""
    environ = {name: value for name, value in os.environ.items() if name != "PYARROW_IGNORE_TIMEZONE"}
    environ["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tests'}"
    done = subprocess.run([sys.executable, "-c", ZONES], env=environ, capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "2024-03-10T06:30:00+00:00", done.stderr
