"""A person who asks to be forgotten is gone from the store, and stays away."""

from pathlib import Path

import pyarrow as pa
import pytest
from features.online.world import Shelf, at, row

from mlops_assets.features.online.forgotten import FOLDER, forget, read_tombstones
from mlops_assets.features.online.packing import WrongEntity
from mlops_assets.features.online.sqlite_store import SqliteStore
from mlops_assets.lake.state import open_state

PERSON = "ann.example@shop.test"
ANN, BOB = {"customer": PERSON}, {"customer": "bob"}


@pytest.fixture
def shelf(tmp_path, store):
    made = Shelf(str(tmp_path / "lake"), store, {"customer": pa.string()}, {"amount": pa.float64()})
    made.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)])
    made.materialise(2)
    return made


def amounts(shelf, now):
    return shelf.read([ANN, BOB], now).columns["amount"]


def forget_ann(shelf, **entity):
    forget(shelf.view, entity or ANN, lake=shelf.lake, store=shelf.store, now=at(3))


def test_a_forgotten_person_is_gone_at_once(shelf):
    forget_ann(shelf)

    assert amounts(shelf, 3) == (None, 2.0)


def test_no_later_materialisation_brings_the_person_back(shelf):
    forget_ann(shelf)
    assert shelf.materialise(4).is_rebuild is False
    assert amounts(shelf, 4) == (None, 2.0)

    shelf.publish([row(ANN, 5, 5, amount=9.0), row(BOB, 5, 5, amount=8.0)])  # news about her
    shelf.materialise(6)
    assert amounts(shelf, 6) == (None, 8.0)

    shelf.sql = "select 2"  # a rebuild
    shelf.publish([row(ANN, 5, 5, amount=9.0), row(BOB, 5, 5, amount=8.0)])
    assert shelf.materialise(7).is_rebuild
    assert amounts(shelf, 7) == (None, 8.0)


def test_the_tombstone_outlives_a_store_that_is_exchanged(shelf, tmp_path):
    forget_ann(shelf)
    shelf.store = SqliteStore(tmp_path / "another")

    shelf.materialise(4)

    assert amounts(shelf, 4) == (None, 2.0)


def test_who_was_forgotten_before_the_first_materialisation_never_arrives(tmp_path, store):
    shelf = Shelf(str(tmp_path / "lake"), store, {"customer": pa.string()}, {"amount": pa.float64()})
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)])
    forget_ann(shelf)

    shelf.materialise(4)

    assert amounts(shelf, 4) == (None, 2.0)


def test_a_forgetting_that_broke_off_after_its_tombstone_is_finished_by_the_next_materialisation(shelf):
    state = open_state(shelf.lake)
    state.put_if_absent(f"{FOLDER}/view/{read_tombstones(shelf.lake, 'view').hash_of([PERSON])}", {"at": "then"})
    assert amounts(shelf, 3) == (1.0, 2.0)

    done = shelf.materialise(4)

    assert (done.written, done.removed, done.is_rebuild) == (0, 1, False)
    assert amounts(shelf, 4) == (None, 2.0)


def test_a_tombstone_holds_when_the_column_changes_its_type(tmp_path, store):
    shelf = Shelf(str(tmp_path / "lake"), store, {"customer": pa.int64()}, {"amount": pa.float64()})
    shelf.publish([row({"customer": 7}, 1, 1, amount=1.0)])
    shelf.materialise(2)
    forget(shelf.view, {"customer": "7"}, lake=shelf.lake, store=store, now=at(3))  # as a command line says it
    assert shelf.read([{"customer": 7}], 3).columns["amount"] == (None,)

    shelf.entity = {"customer": pa.string()}
    shelf.publish([row({"customer": "7"}, 1, 1, amount=1.0)])
    shelf.materialise(4)

    assert shelf.read([{"customer": "7"}], 4).columns["amount"] == (None,)


def test_tombstones_do_not_name_the_person_and_differ_between_views_and_lakes(shelf, tmp_path):
    forget_ann(shelf)
    stones = read_tombstones(shelf.lake, "view")
    files = [path for path in Path(shelf.lake, "online").rglob("*") if path.is_file()]

    assert len(files) == 2  # the tombstone and the key of all
    assert not any(PERSON in path.name or PERSON in path.read_text() for path in files)
    assert stones.covers([PERSON])
    assert not stones.covers(["bob"])
    assert read_tombstones(shelf.lake, "other").hash_of([PERSON]) != stones.hash_of([PERSON])
    assert read_tombstones(str(tmp_path / "lake2"), "view").hash_of([PERSON]) != stones.hash_of([PERSON])


def test_nothing_of_the_person_is_left_in_the_bytes_of_a_snapshot(tmp_path):
    store = SqliteStore(tmp_path / "online")
    shelf = Shelf(str(tmp_path / "lake"), store, {"customer": pa.string()}, {"amount": pa.float64()})
    others = [row({"customer": f"c{n}"}, 1, 1, amount=1.0 * n) for n in range(2000)]
    shelf.publish([row(ANN, 1, 1, amount=1.0), *others])
    shelf.materialise(2)
    assert PERSON.encode() in (tmp_path / "online" / "view.sqlite").read_bytes()

    forget_ann(shelf)

    assert PERSON.encode() not in b"".join(path.read_bytes() for path in (tmp_path / "online").iterdir())


@pytest.mark.service
def test_nothing_of_the_person_is_left_under_any_key_of_redis(tmp_path, redis_prefix):
    import redis

    from mlops_assets.features.online.redis_store import RedisStore

    url, prefix = redis_prefix
    client = redis.Redis.from_url(url)
    shelf = Shelf(str(tmp_path / "lake"), RedisStore(client, prefix=prefix), ANN, {"amount": pa.float64()})
    shelf.entity = {"customer": pa.string()}
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)])
    shelf.materialise(2)
    client.set(f"{prefix}view:1:".encode() + b"left by a killed rebuild: " + PERSON.encode(), b"x")
    client.incr(f"{prefix}view:generations")
    shelf.sql = "select 2"
    shelf.publish([row(ANN, 1, 1, amount=1.0), row(BOB, 1, 1, amount=2.0)])
    shelf.materialise(3)
    client.set(f"{prefix}view:2:".encode() + b"left by a killed rebuild: " + PERSON.encode(), b"x")

    forget_ann(shelf)

    assert [key for key in client.scan_iter(f"{prefix}*") if PERSON.encode() in key] == []
    assert amounts(shelf, 4) == (None, 2.0)


@pytest.mark.parametrize("entity", [{"client": "ann"}, {"customer": "ann", "more": "x"}, {}])
def test_an_entity_with_other_columns_is_refused(shelf, entity):
    with pytest.raises(WrongEntity, match="required customer"):
        forget(shelf.view, entity, lake=shelf.lake, store=shelf.store, now=at(3))
    assert amounts(shelf, 3) == (1.0, 2.0)
