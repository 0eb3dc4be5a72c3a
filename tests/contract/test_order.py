"""One order for the same rows, and one pass over them."""

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from contract.judging import finding, judge
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ingestion.world import COLUMNS, order, orders, shop_spec

from mlops_assets.contract.order import in_key_order
from mlops_assets.contract.predicates import predicates
from mlops_assets.contract.scan import scan_query
from mlops_assets.lake.engine import connect

FULL: dict[str, Any] = {
    "rules": [{"name": "paid", "sql": "amount is not null"}],
    "accepted_values": [{"column": "city", "values": ["Oslo"]}],
    "ranges": [{"column": "amount", "max": 4}],
    "null_share": [{"column": "city", "max": 0.5}],
    "freshness_days": 1,
}
CELLS = st.tuples(st.none() | st.sampled_from(["a", "b", "é"]), st.none() | st.sampled_from([-1.5, 0.0, 2.0]))


def nulls_last(row: dict[str, Any], columns: list[str]) -> list[tuple[bool, Any]]:
    return [(row[c] is None, 0 if row[c] is None else row[c]) for c in columns]


@example(cells=[("b", 0.0), ("a", 2.0)], key=["k", "v"])
@settings(max_examples=50)  # each opens a database
@given(cells=st.lists(CELLS, max_size=7), key=st.sampled_from([["k"], ["k", "v"], ["v", "k"], []]))
def test_rows_come_in_order_of_key_then_of_the_other_columns(cells, key):
    rows = pa.table(
        {"k": pa.array([k for k, _ in cells], pa.string()), "v": pa.array([v for _, v in cells], pa.float64())}
    )
    spec = shop_spec(partitioned=False, key=key, columns={"k": "VARCHAR", "v": "DOUBLE"}).tables["orders"]
    with connect() as con:
        ordered = in_key_order(con, rows, spec).to_pylist()
        assert con.sql("from staged").to_arrow_table().to_pylist() == ordered
    columns = [*key, *(column for column in ("k", "v") if column not in key)]
    assert ordered == sorted(rows.to_pylist(), key=lambda row: nulls_last(row, columns))


def test_rows_that_come_in_order_are_not_sorted_again():
    rows = orders(*(order(n, 1) for n in range(5)))
    with connect() as con:
        assert in_key_order(con, rows, shop_spec().tables["orders"]) is rows


@settings(max_examples=50)  # each opens a database
@given(st.lists(st.tuples(st.integers(1, 2) | st.none(), st.integers(1, 2) | st.none()), max_size=6))
def test_twins_share_every_column_of_the_key_and_nulls_are_alike(keys):
    columns = {**COLUMNS, "line": "BIGINT"}
    rows = orders(*({**order(1, 1), "order_id": first} for first, _ in keys))
    rows = rows.append_column("line", pa.array([second for _, second in keys], pa.int64()))
    outcome = judge(rows, columns=columns, key=["order_id", "line"])
    assert finding(outcome, "unique_key").failed == len(keys) - len(set(keys))
    assert outcome.clean.num_rows == len(set(keys))


def test_an_upsert_keeps_the_versions_of_a_key_oldest_first_and_sets_ties_aside():
    rows = orders(order(1, 1, 3.0, hour=9), order(1, 1, 1.0, hour=7), order(1, 1, 2.0, hour=9), order(0, 1))
    outcome = judge(rows, window=None, publish="upsert", newest_by="placed_at")
    kept = [(row["order_id"], row["amount"]) for row in outcome.clean.to_pylist()]
    assert kept == [(0, 1.0), (1, 1.0), (1, 2.0)]
    assert outcome.quarantined["failed_rules"].to_pylist() == [["unique_key"]]


def test_all_that_a_contract_asks_of_rows_is_found_in_one_pass():
    """A stream of batches can be read once: a second pass would find nothing there."""
    spec = shop_spec(**FULL).tables["orders"]
    rows = orders(*(order(n, 1, float(n), None if n == 2 else "Oslo") for n in range(9)), order(8, 1, None))
    with connect() as con:
        con.register("staged", pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(max_chunksize=2)))
        found = con.sql(scan_query(spec, predicates(spec, None))).to_arrow_table().to_pylist()[0]
    broken = [found[f"broken_{n}"] for n in range(5)]
    assert broken == [[9], None, [5, 6, 7, 8], None, [9]]
    assert (found["total"], found["present_0"]) == (10, 9)


def test_columns_that_nobody_declared_have_one_type_in_any_order():
    extra = pa.array(["x", "y"]).dictionary_encode()
    rows = orders(order(1, 1), order(2, 1)).append_column("extra", extra)
    one, other = judge(rows), judge(rows.take([1, 0]))
    assert one.clean.schema == other.clean.schema
    assert one.clean.equals(other.clean)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_batches_of_any_size_give_the_same_rows(batch):
    rows = orders(*(order(n, 1, None if n % 3 == 0 else 1.0) for n in range(10)))
    cut = pa.Table.from_batches(rows.to_batches(max_chunksize=batch))
    outcome = judge(cut, rules=FULL["rules"])
    assert outcome.clean["order_id"].to_pylist() == [1, 2, 4, 5, 7, 8]
    assert all(one < other for one, other in pairwise(outcome.quarantined["order_id"].to_pylist()))
