"""A process that writes to a store until it is killed: `python -m features.online.killed KIND PLACE PREFIX HOW`.

Every row of revision N has the value N. It says `ready` once the first revision is there.
"""

import sys
from pathlib import Path

from mlops_assets.features.online.schema import Schema
from mlops_assets.features.online.store import Changes, OnlineStore, StoredView

KEYS = [n.to_bytes(4, "big") for n in range(4_000)]
SCHEMA = Schema("view", "d" * 64, (("who", "string"),), (("n", "int64"),), None)


def open_store(kind: str, place: str, prefix: str) -> OnlineStore:
    if kind == "sqlite":
        from mlops_assets.features.online.sqlite_store import SqliteStore

        return SqliteStore(Path(place))
    import redis

    from mlops_assets.features.online.redis_store import RedisStore

    return RedisStore(redis.Redis.from_url(place), prefix=prefix)


def main(kind: str, place: str, prefix: str, how: str) -> None:
    store = open_store(kind, place, prefix)
    held = store.stored("view")
    revision = held.revision if held else 0
    while True:
        rows = [(key, str(revision + 1).encode()) for key in KEYS]
        stored = StoredView(SCHEMA, revision + 1, source_version=1, as_of_us=0, forgotten="")
        is_rebuild = revision == 0 or how == "rebuild"
        store.write("view", Changes(rows, (), stored, is_rebuild=is_rebuild), expected=revision)
        revision += 1
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
