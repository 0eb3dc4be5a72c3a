"""Looked-up features: as they are in the store, or their fallbacks, and said so; no store ever fails a request."""

import socket
import subprocess
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest
from features.online.world import at, row
from services import redis_prefix  # noqa: F401  a fixture
from serving.lookup_world import FALLBACK, FOR_EVER, load_arm, micros, publish, save_model, shelves
from shop.location import free_port

from mlops_assets.features.online.places import open_store
from mlops_assets.features.online.redis_store import RedisStore
from mlops_assets.features.online.sqlite_store import SqliteStore
from mlops_assets.serving import lookup as lookup_module
from mlops_assets.serving.problems import WrongValue

ANN = {"customer": "ann", "item": 1, "n": 3}
ANNS = 1 + 100 + 1000 + 100_000 + 3
LOOKED = ("amount", "city", "is_new", "price")
FALLEN_BACK = 7 + 100 + 3


@pytest.fixture
def world(tmp_path):
    """A store that holds both views, the model's folder, and the views."""
    store = SqliteStore(tmp_path / "online")
    customers, items = shelves(tmp_path / "lake", store)
    publish(customers, items)
    return store, save_model(tmp_path / "model", customers, items), customers, items


def test_a_request_of_entities_and_inputs_is_scored_with_what_the_store_holds(world):
    arm, guarded = load_arm(world[1], world[0])

    scored = arm.score([ANN, {"customer": "bob", "item": 9, "n": 1}], until=FOR_EVER)

    assert scored.predictions == [ANNS, 2 + 1]
    assert {name: list(values) for name, values in scored.features.items()} == {
        "amount": [1.0, 2.0],
        "city": ["Rome", "Oslo"],
        "is_new": [1.0, 0.0],
        "price": [10.0, None],
        "twice": [6.0, 2.0],
    }
    assert scored.features_as_of == [micros(at(1)), micros(at(3))]
    assert (scored.defaulted, guarded.defaulted) == ((), 0)


@pytest.mark.parametrize(
    ("request_row", "expected"),
    [
        ({**ANN, "amount": 5.0}, ANNS + 4),
        ({**ANN, "amount": None}, ANNS - 1),
        ({**ANN, "twice": 2.0}, ANNS - 2),
        ({**ANN, "customer": None}, 100_000 + 3),
        ({"item": 1, "n": 3}, 100_000 + 3),
        ({"customer": "nobody", "n": 3}, 3),
        ({}, 0),
        ({"amount": 1, "city": "Rome", "is_new": True, "price": 10, "twice": 6}, ANNS),
    ],
    ids=["sent wins", "null sent", "sent beats computed", "null entity", "no entity", "unknown", "nothing", "all sent"],
)
def test_sent_beats_computed_beats_looked_up_and_nothing_is_null(world, request_row, expected):
    arm, _ = load_arm(world[1], world[0])

    scored = arm.score([request_row], until=FOR_EVER)

    assert scored.predictions == [pytest.approx(expected)]
    assert scored.defaulted == ()


def test_many_rows_score_as_each_alone_whatever_stands_beside_them(world):
    arm, _ = load_arm(world[1], world[0])
    kinds = [
        ANN,
        {"customer": "bob", "item": 1},
        {"n": 5},
        {},
        {"amount": 3.0, "n": 1},
        {"customer": "ann", "price": None},
    ]
    rows = [kinds[place % len(kinds)] for place in range(250)]

    scored = arm.score(rows, until=FOR_EVER)

    alone = [arm.score([one], until=FOR_EVER) for one in kinds]
    assert scored.predictions == pytest.approx([alone[place % len(kinds)].predictions[0] for place in range(250)])
    for name, values in scored.features.items():
        assert values == [alone[place % len(kinds)].features[name][0] for place in range(250)]
    assert len(scored.features_as_of) == 250


def test_a_wrong_entity_is_the_callers_fault(world):
    arm, _ = load_arm(world[1], world[0])

    with pytest.raises(WrongValue, match="item"):
        arm.score([{**ANN, "item": "one"}], until=FOR_EVER)


def test_without_a_store_every_looked_up_feature_is_its_fallback(world):
    arm, _ = load_arm(world[1], None)

    scored = arm.score([ANN], until=FOR_EVER)

    assert (scored.predictions, scored.defaulted) == ([FALLEN_BACK], LOOKED)
    assert {name: scored.features[name] for name in LOOKED} == {name: [FALLBACK.get(name)] for name in LOOKED}
    assert scored.features_as_of == [None]


def test_what_was_sent_is_not_called_a_fallback(world):
    arm, _ = load_arm(world[1], None)

    assert arm.score([{**ANN, "amount": 1.0}], until=FOR_EVER).defaulted == ("city", "is_new", "price")


def test_when_the_time_is_over_nobody_is_asked(world):
    arm, guarded = load_arm(world[1], world[0])

    scored = arm.score([ANN], until=time.monotonic() - 1)

    assert (scored.predictions, scored.defaulted, guarded.defaulted) == ([FALLEN_BACK], LOOKED, 1)


def test_a_view_that_is_not_there_costs_its_own_features_only_until_it_comes(world, monkeypatch, tmp_path):
    store, folder, _, _ = world
    (tmp_path / "online" / "customers.sqlite").rename(tmp_path / "away")
    arm, guarded = load_arm(folder, store)

    first = arm.score([ANN], until=FOR_EVER)
    (tmp_path / "away").rename(tmp_path / "online" / "customers.sqlite")
    still = arm.score([ANN], until=FOR_EVER)
    monkeypatch.setattr(lookup_module, "RETRY_SECONDS", 0)
    arm._assembler._lookup._suspended.clear()
    later = arm.score([ANN], until=FOR_EVER)

    assert (first.predictions, first.defaulted) == ([7 + 100 + 100_000 + 3], ("amount", "city", "is_new"))
    assert first.features_as_of == [micros(at(2))]
    assert still.defaulted == first.defaulted
    assert (later.predictions, later.defaulted) == ([ANNS], ())
    assert (guarded.failures["NotOnline"], guarded.is_open) == (1, False)


def test_rows_of_another_definition_are_not_used(world):
    store, folder, customers, _ = world
    customers.sql = "select 2"
    customers.publish([row({"customer": "ann"}, 1, 1, amount=999.0, city="Rome", is_new=True)])
    customers.materialise(5)
    arm, guarded = load_arm(folder, store)

    scored = arm.score([ANN], until=FOR_EVER)

    assert scored.defaulted == ("amount", "city", "is_new")
    assert scored.features["amount"] == [7.0]
    assert guarded.failures["SchemaMismatch"] == 1


def test_types_that_models_do_not_take_become_numbers_and_text_as_offline(tmp_path):
    store = SqliteStore(tmp_path / "online")
    types = {"price": pa.decimal128(6, 2), "day": pa.date32(), "seen_at": pa.timestamp("us", "UTC"), "n": pa.int64()}
    from features.online.world import EXAMPLE, Shelf

    from mlops_assets.serving.looked_up import readers_of

    shelf = Shelf(str(tmp_path / "lake"), store, {"id": pa.int64()}, types)
    values = {"price": EXAMPLE["price"].__class__("9.90"), "day": EXAMPLE["birthday"], "seen_at": at(1), "n": 3}
    convert = dict(readers_of([shelf.schema], list(types)))

    assert convert["price"]([values["price"], None]) == [9.9, None]
    assert set(convert) == {"price", "day", "seen_at"}
    for name in ("day", "seen_at"):
        expected = pa.array([values[name], None], types[name]).cast(pa.string()).to_pylist()
        assert convert[name]([values[name], None]) == expected


class Hanging:
    """A server that accepts and never answers."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        self.calls = self._held
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def _accept(self):
        try:
            while True:
                self._held.append(self._listener.accept()[0])
        except OSError:
            return

    def __exit__(self, *_):
        self._listener.close()
        for one in self._held:
            one.close()


def test_a_redis_that_hangs_costs_a_few_time_limits_and_then_nothing(world):
    hanging = Hanging()
    with hanging as url:
        store = open_store(url, env="test", timeout_s=0.02)
        arm, guarded = load_arm(world[1], store, pause_seconds=60)
        scored = [arm.score([ANN], until=FOR_EVER) for _ in range(30)]

    assert {one.predictions[0] for one in scored} == {FALLEN_BACK}
    assert all(one.defaulted == LOOKED for one in scored)
    assert guarded.is_open
    assert guarded.defaulted == 30
    assert len(hanging.calls) <= 5, "the breaker lets five calls fail, the one at load among them"
    assert guarded.failures["CircuitBreakerError"] >= 26


@pytest.mark.service
def test_redis_holds_what_sqlite_holds(redis_prefix, tmp_path):  # noqa: F811
    redis = pytest.importorskip("redis")
    url, prefix = redis_prefix
    store = RedisStore(redis.Redis.from_url(url), prefix=prefix)
    customers, items = shelves(tmp_path / "lake", store)
    publish(customers, items)
    arm, guarded = load_arm(save_model(tmp_path / "model", customers, items), store)

    scored = arm.score([ANN, {"customer": "nobody"}], until=FOR_EVER)

    assert (scored.predictions, scored.defaulted) == ([ANNS, 0], ())
    assert scored.features_as_of == [micros(at(1)), None]
    assert guarded.defaulted == 0


@pytest.fixture
def own_redis(tmp_path: Path):
    """Start a Redis of our own, to be killed and started again."""
    import shutil

    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    port = free_port()

    def start() -> subprocess.Popen:
        import redis

        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
        process = subprocess.Popen([*command, "--appendonly", "yes"], stdout=subprocess.DEVNULL)
        client, end = redis.Redis(port=port), time.monotonic() + 30
        while time.monotonic() < end:
            try:
                client.ping()
            except redis.ConnectionError:
                time.sleep(0.05)
            else:
                break
        return process

    processes = []

    def again() -> subprocess.Popen:
        processes.append(start())
        return processes[-1]

    yield f"redis://127.0.0.1:{port}/0", again
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.service
def test_a_redis_that_dies_under_load_and_comes_back_fails_no_request(own_redis, tmp_path):
    url, start = own_redis
    process = start()
    store = open_store(url, env="test", timeout_s=0.2)
    customers, items = shelves(tmp_path / "lake", store)
    publish(customers, items)
    arm, guarded = load_arm(save_model(tmp_path / "model", customers, items), store, pause_seconds=0.05)
    stopping, seen = threading.Event(), []

    def ask() -> None:
        while not stopping.is_set():
            one = arm.score([ANN], until=FOR_EVER)
            seen.append((one.predictions[0], one.defaulted))
            time.sleep(0.001)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    _until(lambda: len(seen) > 50)
    process.kill()
    process.wait()
    _until(lambda: (FALLEN_BACK, LOOKED) in seen[-3:])
    start()
    count = len(seen)
    _until(lambda: (ANNS, ()) in seen[count:])
    stopping.set()
    for thread in threads:
        thread.join()

    assert seen[0] == (ANNS, ())
    assert set(seen) == {(ANNS, ()), (FALLEN_BACK, LOOKED)}
    assert guarded.defaulted == sum(1 for _, defaulted in seen if defaulted)


def _until(is_so, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
