"""Online reads: p50 and p99 of one and of 100 entities, against the calls that one would write by hand, and against Feast.

The hand-written call reads the same columns: from SQLite `select ... where customer = ?` (or `in (...)`) on a table of typed
columns, opened read-only; from Redis one MGET of the same packed rows. Our reader adds the key, the look for a newer
generation, the schema, the decoding and the ttl. `sqlite_floor` is the same packed bytes by the same kind of connection as
ours, undecoded. Feast gets fewer entities, since it writes about a thousand times slower: that is in its favour.

DynamoDB is left out: against a stand-in on this machine a latency means nothing.
"""

import itertools
import os
import sqlite3
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import redis

from benchmarks.report import at_most, conditions, finish
from mlops_assets.features.compute import DEFINITION, SOURCES, view_uri
from mlops_assets.features.definition import View
from mlops_assets.features.online.materialise import materialise
from mlops_assets.features.online.packing import Packer
from mlops_assets.features.online.reader import OnlineReader
from mlops_assets.features.online.redis_store import RedisStore
from mlops_assets.features.online.schema import view_schema
from mlops_assets.features.online.sqlite_store import SqliteStore
from mlops_assets.features.online.store import in_parts
from mlops_assets.features.spec import FeatureViewSpec
from mlops_assets.lake import tables

ENTITIES = int(os.environ.get("BENCHMARK_ENTITIES", "1000000"))
FEAST_ENTITIES = 20_000
REDIS = os.environ.get("TEST_REDIS", "redis://127.0.0.1:6379")
CALLS = {1: 8_000, 100: 800}
FEAST_SHARE = 10  # one call of Feast for each ten of the others
ROUNDS = 4
T0 = datetime(2024, 3, 1, tzinfo=UTC)
NOW = T0 + timedelta(days=2)
NAMES = ("amount", "share", "count", "city", "is_new")
COLUMNS = ", ".join(NAMES)
VIEW = View(
    FeatureViewSpec.model_validate(
        {
            "name": "customer",
            "description": "A customer.",
            "entity": ["customer"],
            "sources": {"orders": "shop/orders"},
            "sql": "select 1",
            "ttl_days": 30,
            "features": {name: {"description": "A value."} for name in NAMES},
            "online": True,
        }
    ),
    "select 1",
)


def main() -> None:
    """Fill every store, read from all of them in turn, report."""
    under = conditions(["redis", "msgspec", "feast", "mlops-assets"])
    under |= {"entities": ENTITIES, "feast_entities": FEAST_ENTITIES, "sqlite": sqlite3.sqlite_version}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, redis.Redis.from_url(REDIS) as client, ExitStack() as stack:
        folder, prefix = Path(name), f"benchmark:{uuid.uuid4().hex[:12]}:"
        stack.callback(remove, client, prefix)
        publish(folder)
        stores = {"sqlite": SqliteStore(folder / "online"), "redis": RedisStore(client, prefix=prefix)}
        for kind, store in stores.items():
            figures |= fill(kind, store, folder)
        ours = {f"{kind}_ours": our_read(store) for kind, store in stores.items()}
        raw = {"sqlite_raw": raw_sqlite(folder), "redis_raw": raw_redis(client, stores["redis"], prefix)}
        feast = {f"{kind}_feast": feast_read(kind, folder, stack) for kind in stores}
        calls = {**ours, **raw, "sqlite_floor": sqlite_floor(folder)}
        for rows in CALLS:
            figures |= measure(calls, feast, rows)
    goals = list(goals_of(figures))
    finish("online", figures=figures, goals=goals, under=under)


def publish(folder: Path) -> None:
    """Write the offline table: two rows for each customer."""
    customers, rng = np.repeat(np.arange(ENTITIES), 2), np.random.default_rng(0)
    count = len(customers)
    days = np.tile([0, 1], ENTITIES) * 86_400_000_000 + int(T0.timestamp() * 1_000_000)
    table = pa.table(
        {
            "customer": pa.array([f"c{number}" for number in customers]),
            "event_timestamp": pa.array(days, pa.timestamp("us", "UTC")),
            "known_at": pa.array(days, pa.timestamp("us", "UTC")),
            "amount": rng.random(count),
            "share": rng.random(count),
            "count": rng.integers(0, 1_000, count),
            "city": pa.array(np.array(["Rome", "Oslo", "Lima"])[customers % 3]),
            "is_new": pa.array(customers % 2 == 0),
        }
    )
    tables.overwrite(view_uri(str(folder), "customer"), table, properties={DEFINITION: VIEW.definition, SOURCES: "{}"})


def fill(kind: str, store, folder: Path) -> dict[str, float]:
    """Materialise everything; return what it cost."""
    started = time.process_time()
    materialise(VIEW, lake=str(folder), store=store, now=NOW)
    return {f"{kind}_rebuild_cpu_s": time.process_time() - started}


def our_read(store):
    """Return what reads some customers as a server would."""
    schema = store.stored("customer").schema
    reader = OnlineReader(store, [schema], [f"customer:{name}" for name in NAMES])
    return lambda ids: reader.read([{"customer": one} for one in ids], now=NOW)


def raw_sqlite(folder: Path):
    """Return the query that one would write by hand, over a table of typed columns."""
    path = folder / "raw.sqlite"
    with closing(sqlite3.connect(path)) as con:
        con.execute(f"create table customers (customer text primary key, event_timestamp int, {COLUMNS}) without rowid")
        rows = tables.read(view_uri(str(folder), "customer"))
        newest = rows.filter(pa.array(np.tile([False, True], ENTITIES)))
        times = newest["event_timestamp"].cast(pa.int64()).to_pylist()
        values = zip(newest["customer"].to_pylist(), times, *(newest[name].to_pylist() for name in NAMES), strict=True)
        con.executemany(f"insert into customers values ({', '.join('?' * (2 + len(NAMES)))})", sorted(values))
        con.commit()
    con = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    one = f"select event_timestamp, {COLUMNS} from customers where customer = ?"
    many = f"select customer, event_timestamp, {COLUMNS} from customers where customer in ({', '.join('?' * 100)})"
    return lambda ids: con.execute(one if len(ids) == 1 else many, ids).fetchall()


def sqlite_floor(folder: Path):
    """Return what fetches the packed bytes from our own file, the way our store opens it, and does nothing else."""
    con = sqlite3.connect(f"file:{folder}/online/customer.sqlite?mode=ro&immutable=1", uri=True)
    con.execute(f"pragma mmap_size = {1 << 40}")
    key = Packer(_schema(folder)).key
    one, many = (f"select key, value from online where key in ({', '.join('?' * count)})" for count in CALLS)
    return lambda ids: con.execute(one if len(ids) == 1 else many, [key({"customer": i}) for i in ids]).fetchall()


def raw_redis(client, store, prefix: str):
    """Return one MGET of the packed rows."""
    stored = store.stored("customer")
    key, start = Packer(stored.schema).key, f"{prefix}customer:{stored.generation}:".encode()
    return lambda ids: client.mget([start + (key({"customer": one}) or b"") for one in ids])


def feast_read(kind: str, folder: Path, stack: ExitStack):
    """Return what reads some customers from Feast's online store, over the entities that it was given."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  an extra
    from feast.types import Bool, Float64, Int64, String  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]  an extra

    places = {"sqlite": {"path": str(folder / "feast.db")}, "redis": {"connection_string": _address()}}
    config = RepoConfig(
        project=f"benchmark_{uuid.uuid4().hex[:8]}",
        registry=str(folder / f"{kind}_registry.db"),
        provider="local",
        online_store={"type": kind, **places[kind]},
        offline_store={"type": "file"},
        entity_key_serialization_version=3,
    )
    newest = tables.read(view_uri(str(folder), "customer")).slice(0, 2 * FEAST_ENTITIES)
    frame = newest.filter(pa.array(np.tile([False, True], newest.num_rows // 2))).to_pandas()
    frame.to_parquet(folder / "feast.parquet", coerce_timestamps="us")
    customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
    types = {"customer": String, "amount": Float64, "share": Float64, "count": Int64, "city": String, "is_new": Bool}
    view = FeatureView(
        name="customers",
        entities=[customer],
        ttl=timedelta(days=30),
        schema=[Field(name=name, dtype=dtype) for name, dtype in types.items()],
        source=FileSource(path=str(folder / "feast.parquet"), timestamp_field="event_timestamp"),
    )
    store = FeatureStore(config=config)
    stack.callback(store.teardown)
    store.apply([customer, view])
    store.write_to_online_store("customers", frame)
    features = [f"customers:{name}" for name in NAMES]
    return lambda ids: store.get_online_features(
        features=features, entity_rows=[{"customer": one} for one in ids]
    ).to_dict()


def measure(calls, feast, rows: int) -> dict[str, float]:
    """Time every call in turn, on entities drawn anew; return p50 and p99 in microseconds, and their ratios."""
    taken: dict[str, list[int]] = {name: [] for name in [*calls, *feast]}
    rng = np.random.default_rng(rows)
    for number in range(ROUNDS + 1):
        for name, call in {**calls, **feast}.items():
            count, entities = CALLS[rows] // ROUNDS, ENTITIES
            if name in feast:
                count, entities = count // FEAST_SHARE, min(FEAST_ENTITIES, ENTITIES)
            asked = [[f"c{i}" for i in ids] for ids in rng.integers(0, entities, (count, rows)).tolist()]
            times = [_nanoseconds(call, ids) for ids in asked]
            taken[name] += times if number else []  # the first round warms up
        print(f"{rows} rows: round {number} of {ROUNDS}", file=sys.stderr)
    figures = {}
    for name, times in taken.items():
        for share in (50, 99):
            figures[f"{name}_{rows}_p{share}_us"] = float(np.percentile(times, share)) / 1_000
    return figures


def goals_of(figures: dict[str, float]):
    """Yield the goals, and add their ratios to the figures."""
    for kind, rows, share in itertools.product(("sqlite", "redis"), CALLS, (50, 99)):
        ours, raw, feast = (figures[f"{kind}_{who}_{rows}_p{share}_us"] for who in ("ours", "raw", "feast"))
        yield at_most(f"{kind}_{rows}_rows_p{share}_to_raw", ours / raw, 1.5)
        yield at_most(f"{kind}_{rows}_rows_p{share}_to_feast", ours / feast, 0.1)


def remove(client, prefix: str) -> None:
    """Take our keys out of the Redis server again."""
    for part in in_parts(client.scan_iter(f"{prefix}*", count=5_000), 5_000):
        client.unlink(*part)


def _nanoseconds(call, ids: list[str]) -> int:
    started = time.perf_counter_ns()
    call(ids)
    return time.perf_counter_ns() - started


def _schema(folder: Path):
    return view_schema(VIEW, tables.snapshot(view_uri(str(folder), "customer")).schema)


def _address() -> str:
    parts = urlsplit(REDIS)
    return f"{parts.hostname}:{parts.port or 6379}"


if __name__ == "__main__":
    main()
