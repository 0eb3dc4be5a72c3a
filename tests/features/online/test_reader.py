"""What a server reads: several views at once, in the model's order, as of now; and what it refuses."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from features.online.world import Shelf, at, row

from mlops_assets.features.online.packing import WrongEntity
from mlops_assets.features.online.reader import OnlineReader, SchemaMismatch, UnknownFeature
from mlops_assets.features.online.sqlite_store import SqliteStore
from mlops_assets.features.online.store import NotOnline

ANN, BOB = {"customer": "ann", "item": 1}, {"customer": "bob", "item": 2}


@pytest.fixture
def customers(tmp_path, store):
    features = {"amount": pa.float64(), "city": pa.string()}
    shelf = Shelf(str(tmp_path / "lake"), store, {"customer": pa.string()}, features, name="customer", ttl_hours=10)
    shelf.publish([row({"customer": "ann"}, 1, 1, amount=1.5, city="Rome"), row({"customer": "bob"}, 3, 4, amount=2.5)])
    shelf.materialise(5)
    return shelf


@pytest.fixture
def items(tmp_path, store):
    shelf = Shelf(str(tmp_path / "lake"), store, {"item": pa.int64()}, {"price": pa.decimal128(6, 2)}, name="item")
    shelf.publish([row({"item": 1}, 2, 2, price=Decimal("9.90"))])
    shelf.materialise(5)
    return shelf


def reader_of(*shelves, features):
    return OnlineReader(shelves[0].store, [shelf.schema for shelf in shelves], features)


def test_several_views_in_the_order_of_the_model(customers, items):
    reader = reader_of(customers, items, features=["customer:city", "item:price", "customer:amount"])

    found = reader.read([ANN, BOB, {"customer": "nobody", "item": 3}], now=at(6))

    assert list(found.columns) == ["city", "price", "amount"]
    assert list(map(list, found.columns.values())) == [
        ["Rome", None, None],
        [Decimal("9.90"), None, None],
        [1.5, 2.5, None],
    ]
    assert found.features_as_of == [at(1), at(3), None]


def test_features_are_as_old_as_the_oldest_view_that_is_alive(customers, items):
    reader = reader_of(customers, items, features=["customer:amount", "item:price"])

    assert reader.read([ANN], now=at(11)).features_as_of == [at(1)]
    assert reader.read([ANN], now=at(12)).features_as_of == [at(2)]  # the ttl of the customers is ten hours
    assert reader.read([ANN], now=at(12)).columns == {"amount": (None,), "price": (Decimal("9.90"),)}


def test_a_null_entity_has_null_features(customers, items):
    reader = reader_of(customers, items, features=["customer:amount", "item:price"])

    found = reader.read([{"customer": None, "item": 1}, ANN, {"customer": "ann", "item": None}], now=at(6))

    assert found.columns == {"amount": (None, 1.5, 1.5), "price": (Decimal("9.90"), Decimal("9.90"), None)}


def test_the_same_entity_many_times_and_no_entity_at_all(customers):
    reader = reader_of(customers, features=["customer:amount"])

    assert reader.read([ANN] * 300, now=at(6)).columns == {"amount": (1.5,) * 300}
    empty = reader.read([], now=at(6))
    assert (empty.columns, empty.features_as_of) == ({"amount": ()}, [])


def test_a_reader_sees_each_materialisation(customers):
    reader = reader_of(customers, features=["customer:amount"])
    assert reader.read([ANN], now=at(6)).columns == {"amount": (1.5,)}

    customers.publish([row({"customer": "ann"}, 6, 6, amount=7.5)])
    customers.materialise(7)

    assert reader.read([ANN, BOB], now=at(7)).columns == {"amount": (7.5, None)}


def test_rows_of_another_definition_are_refused(customers):
    reader = reader_of(customers, features=["customer:amount"])
    reader.read([ANN], now=at(6))
    customers.sql = "select 2"
    customers.publish([row({"customer": "ann"}, 6, 6, amount=7.5)])
    customers.materialise(7)

    with pytest.raises(
        SchemaMismatch, match=r"online_features/customer: found rows of schema \w+ \(definition"
    ) as error:
        reader.read([ANN], now=at(7))
    assert "Materialise `features/customer` and `online_features/customer`" in str(error.value)
    assert reader_of(customers, features=["customer:amount"]).read([ANN], now=at(7)).columns == {"amount": (7.5,)}


def test_rows_of_another_type_are_refused_and_the_column_is_named(customers):
    before = customers.schema
    customers.features = {"amount": pa.int64(), "city": pa.string()}
    customers.publish([row({"customer": "ann"}, 6, 6, amount=7, city="Rome")])
    customers.materialise(7)
    reader = OnlineReader(customers.store, [before], ["customer:amount"])

    with pytest.raises(SchemaMismatch, match="amount: double, amount: int64"):
        reader.read([ANN], now=at(7))


def test_a_view_that_is_not_online_is_named(tmp_path, store):
    shelf = Shelf(str(tmp_path), store, {"customer": pa.string()}, {"amount": pa.float64()}, name="never")

    with pytest.raises(NotOnline, match="materialise `online_features/never`"):
        shelf.read([ANN], 1)


def test_a_feature_of_no_view_is_refused_when_the_reader_is_made(tmp_path):
    shelf = Shelf(str(tmp_path), SqliteStore(tmp_path), {"customer": pa.string()}, {"amount": pa.float64()})

    with pytest.raises(UnknownFeature, match="view:amuont: found no such feature; required one of view:amount"):
        shelf.reader("amuont")


NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
KEYS = [
    (pa.string(), "a", 7),
    (pa.int64(), 7, "7"),
    (pa.int32(), 7, True),
    (pa.bool_(), True, 1),
    (pa.binary(), b"a", "a"),
    (pa.date32(), date(2024, 3, 1), NOON),
    (pa.timestamp("us", "UTC"), NOON, NOON.replace(tzinfo=None)),
    (pa.decimal128(10, 2), Decimal("1.50"), 1.5),
]


@pytest.mark.parametrize(("kind", "value", "wrong"), KEYS, ids=str)
def test_an_entity_is_found_by_its_own_type_and_refused_by_another(tmp_path, kind, value, wrong):
    shelf = Shelf(str(tmp_path / "lake"), SqliteStore(tmp_path), {"who": kind}, {"amount": pa.float64()})
    shelf.publish([row({"who": value}, 1, 1, amount=1.5)])
    shelf.materialise(2)

    assert shelf.read([{"who": value}], 2).columns == {"amount": (1.5,)}
    with pytest.raises(WrongEntity, match="entity of online_features/view: found"):
        shelf.read([{"who": wrong}], 2)


def test_a_missing_entity_column_is_named(customers):
    with pytest.raises(WrongEntity, match="found columns item; required also customer"):
        customers.read([{"item": 1}], 6)


def test_equal_times_and_decimals_are_one_entity(tmp_path):
    entity = {"when": pa.timestamp("us", "UTC"), "price": pa.decimal128(10, 2)}
    shelf = Shelf(str(tmp_path / "lake"), SqliteStore(tmp_path), entity, {"amount": pa.float64()})
    shelf.publish([row({"when": NOON, "price": Decimal("1.50")}, 1, 1, amount=1.5)])
    shelf.materialise(2)
    other = datetime.fromisoformat("2024-03-01T14:00:00+02:00")

    assert shelf.read([{"when": other, "price": Decimal("1.5")}], 2).columns == {"amount": (1.5,)}
