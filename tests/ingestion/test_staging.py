"""Sources of every kind through dlt: Arrow and rows, good and broken."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from ingestion import feed
from ingestion.world import COLUMNS, day, order, orders, shop_spec

from mlops_assets.contract.types import SchemaChanged
from mlops_assets.ingestion.sources.failures import ResourceMissing, SourceFailed
from mlops_assets.ingestion.spec import IngestionSpec
from mlops_assets.ingestion.staging import stage
from mlops_assets.lake.windows import Window


def run(tmp_path, *, spec: IngestionSpec | None = None, window: Window | None = day(1)) -> pa.Table:  # noqa: B008 - a frozen value
    return stage(spec or shop_spec(), ["orders"], window=window, folder=tmp_path / "work").tables["orders"]


def test_arrow_comes_back_as_it_was_and_the_working_folder_is_gone(tmp_path, deliver):
    deliver(orders(order(1, 1), order(2, 1, None, None)), orders(order(3, 1)).to_batches()[0])
    assert run(tmp_path).sort_by("order_id").equals(orders(order(1, 1), order(2, 1, None, None), order(3, 1)))
    assert list((tmp_path / "work").iterdir()) == []


def test_rows_of_python_values_are_coerced_to_the_declared_types(tmp_path, deliver):
    deliver(
        {"order_id": "1", "placed_at": "2024-03-01T13:00:00+01:00", "amount": 1, "city": 7, "lines": [{"sku": "a"}]},
        [{"order_id": 2, "placed_at": datetime(2024, 3, 1, tzinfo=UTC), "city": "Oslo"}],
    )
    staged = run(tmp_path).sort_by("order_id")
    assert staged.select(list(COLUMNS)).to_pylist() == [
        order(1, 1, 1.0, "7"),
        order(2, 1, None, "Oslo", hour=0),
    ]
    assert staged["lines"].to_pylist() == ['[{"sku":"a"}]', None]


def test_the_source_is_asked_for_the_window(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(feed, "deliver", lambda *question: asked.append(question) or [])
    run(tmp_path, window=day(3))
    run(tmp_path, spec=shop_spec(partitioned=False), window=None)
    assert asked == [("orders", day(3).start, day(3).end), ("orders", None, None)]


@pytest.mark.parametrize("items", [(), (orders(),), ([],)])
def test_nothing_is_a_table_without_rows(tmp_path, deliver, items):
    deliver(*items)
    assert run(tmp_path).equals(orders())


def test_names_are_normalised_before_they_are_compared(tmp_path, deliver):
    deliver(orders(order(1, 1)).rename_columns(["OrderID", "placedAt", "Amount", "city"]))
    assert run(tmp_path).equals(orders(order(1, 1)))


def test_a_new_column_is_kept(tmp_path, deliver):
    deliver(orders(order(1, 1)).append_column("coupon", pa.array(["x"])))
    assert run(tmp_path).to_pylist() == [{**order(1, 1), "coupon": "x"}]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (
            [orders(order(1, 1)).set_column(2, "amount", pa.array(["one"]))],
            "column amount: found type string; required DOUBLE",
        ),
        (
            [orders(order(1, 1)).drop_columns("amount")],
            "column amount: found only order_id, placed_at, city; required DOUBLE",
        ),
        ([{**order(1, 1), "amount": "one"}], "column amount: found 'one' of type text; required DOUBLE"),
    ],
)
def test_a_changed_column_is_named_and_the_working_folder_kept(tmp_path, deliver, items, message):
    deliver(*items)
    with pytest.raises(SchemaChanged, match=message):
        run(tmp_path)
    assert len(list((tmp_path / "work").iterdir())) == 1


def test_an_error_of_the_source_is_told_with_its_window(tmp_path, monkeypatch):
    def fail(*_):
        raise ConnectionError("the shop is closed")

    monkeypatch.setattr(feed, "deliver", fail)
    with pytest.raises(SourceFailed, match=r"Source shop .* for 2024-03-01: found ConnectionError: the shop is closed"):
        run(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("contract.nowhere:shop", "ModuleNotFoundError: No module named 'contract.nowhere'"),
        ("ingestion.feed:nowhere", "AttributeError: .*nowhere"),
        ("ingestion.feed:whole", "TypeError: .*positional argument"),
    ],
)
def test_a_source_that_cannot_be_called_is_told(tmp_path, source, message):
    spec = shop_spec().model_copy(update={"source": source})
    with pytest.raises(SourceFailed, match=message):
        run(tmp_path, spec=spec)


def test_a_table_without_a_resource_is_named(tmp_path):
    spec = shop_spec().model_copy(update={"tables": {"parcels": shop_spec().tables["orders"]}})
    with pytest.raises(ResourceMissing, match="found the resources orders, visits; required also parcels"):
        stage(spec, ["parcels"], window=day(1), folder=tmp_path)


def test_a_run_is_not_disturbed_by_what_a_failed_one_left(tmp_path, deliver):
    deliver({**order(1, 1), "amount": "one"})
    with pytest.raises(SchemaChanged):
        run(tmp_path)
    deliver(orders(order(2, 1)))
    assert run(tmp_path).equals(orders(order(2, 1)))


def continued(tmp_path, states=None, *, publish="append", full=False, source="grows"):
    """Load a source with a cursor of its own; return the numbers of its orders, its state and whether it was read whole."""
    spec = shop_spec(partitioned=False, publish=publish)
    spec = spec.model_copy(update={"source": f"ingestion.feed:{source}"})
    staged = stage(spec, ["orders"], window=None, folder=tmp_path / "work", states=states, full=full)
    return sorted(staged.tables["orders"]["order_id"].to_pylist()), staged.states, staged.complete


@pytest.mark.parametrize("form", [list, lambda rows: [orders(*rows)]], ids=["rows", "arrow"])
@pytest.mark.parametrize("source", ["grows", "detailed"])
def test_a_source_with_a_cursor_of_its_own_goes_on_where_the_last_load_ended(tmp_path, deliver, form, source):
    deliver(*form([order(1, 1), order(2, 2)]))
    first, states, complete = continued(tmp_path, source=source)
    assert (first, complete) == ([1, 2], {"orders"})
    assert json.loads(json.dumps(states)) == states
    deliver(*form([order(1, 1), order(2, 2), order(3, 2), order(4, 4)]))
    second, states, complete = continued(tmp_path, states, source=source)
    assert (second, complete) == ([3, 4], set())
    assert continued(tmp_path, states, source=source)[0] == []
    assert continued(tmp_path, states, source=source, full=True)[::2] == ([1, 2, 3, 4], {"orders"})


def test_a_table_that_is_replaced_is_always_read_whole(tmp_path, deliver):
    deliver(order(1, 1), order(2, 2))
    _, states, _ = continued(tmp_path)
    assert continued(tmp_path, states, publish="replace") == ([1, 2], {}, {"orders"})


def test_a_load_that_fails_leaves_the_state_as_it_was(tmp_path, deliver):
    deliver(order(1, 1))
    _, states, _ = continued(tmp_path)
    before = json.dumps(states)
    deliver(order(2, 2), {**order(3, 3), "amount": "one"})
    with pytest.raises(SchemaChanged):
        continued(tmp_path, states)
    assert json.dumps(states) == before
    deliver(order(2, 2), order(3, 3))
    assert continued(tmp_path, states)[0] == [2, 3]


def test_two_tables_that_one_resource_feeds_and_that_ended_apart_are_read_again(tmp_path, deliver):
    deliver(order(1, 1), order(2, 2))
    spec = shop_spec(partitioned=False, publish="append")
    table = spec.tables["orders"]
    spec = spec.model_copy(update={"source": "ingestion.feed:twins", "tables": {"left": table, "right": table}})

    def load(states=None):
        staged = stage(spec, ["left", "right"], window=None, folder=tmp_path / "work", states=states)
        return [staged.tables[name].num_rows for name in ("left", "right")], staged.states

    rows, old = load()
    deliver(order(1, 1), order(2, 2), order(3, 3))
    new_rows, new = load(old)
    assert (rows, new_rows) == ([2, 2], [1, 1])
    assert load({"left": new["left"], "right": old["right"]})[0] == [3, 3]
