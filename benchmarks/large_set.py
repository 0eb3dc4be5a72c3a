"""A training set of many generated rows and five views with late corrections: written to a lake, then built and saved.

python -m benchmarks.large_set write FOLDER ROWS; python -m benchmarks.large_set build FOLDER
"""

import json
import resource
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from benchmarks.flight_views import view_spec
from mlops_assets.features.definition import VectorDefinition, View
from mlops_assets.features.request import Request
from mlops_assets.features.spec import SpineSpec

VIEWS, FEATURES, ROWS_PER_ENTITY, LATE_SHARE, YEAR_S = 5, 3, 50, 0.1, 365 * 86_400
TIME = pa.timestamp("us", "UTC")
SPINE_SQL = """
    select id, customer, shop, amount, asked as prediction_time, label, asked + interval 1 hour as label_known_at from asks
"""


def write(lake: str, rows: int) -> None:
    """Write the spine's table, and the views with a tenth as many rows each, a tenth of them late."""
    from mlops_assets.features.refresh import refresh_view
    from mlops_assets.lake import tables

    rng, entities = np.random.default_rng(0), rows // 10 // ROWS_PER_ENTITY
    asks = {
        "id": pa.array(np.arange(rows)),
        **_people(rng.integers(0, entities, rows)),
        "amount": pa.array(rng.random(rows)),
        "asked": _times(rng.integers(0, YEAR_S, rows)),
        "label": pa.array(rng.integers(0, 2, rows, dtype=np.int32)),
    }
    tables.overwrite(f"{lake}/raw/bench/asks", pa.table(asks))
    for view in definition().views:
        count = rows // 10
        event = rng.integers(0, YEAR_S, count)
        late = np.where(rng.random(count) < LATE_SHARE, rng.integers(0, 7 * 86_400, count), 3_600)
        people = _people(rng.integers(0, entities, count))
        columns = {"event_timestamp": _times(event), "known_at": _times(event + late)}
        columns |= {view.spec.entity[0]: people[view.spec.entity[0]]}
        columns |= {name: pa.array(rng.random(count)) for name in view.spec.features}
        table = pa.table(columns)
        key = [*view.spec.entity, "event_timestamp", "known_at"]
        distinct = table.group_by(key, use_threads=False).aggregate([(name, "first") for name in view.spec.features])
        tables.overwrite(f"{lake}/raw/bench/{view.spec.name}", distinct.rename_columns([*key, *view.spec.features]))
        refresh_view(view.spec, view.sql, lake=lake)


def build(lake: str) -> None:
    """Build and save the training set; print CPU seconds and the peak of memory."""
    from mlops_assets.features import training_set as sets

    start = time.process_time()
    built = sets.build_training_set(
        definition(), lake=lake, as_of=datetime(2024, 2, 1, tzinfo=UTC), held=[], window_days=None
    )
    built_cpu, at_build = time.process_time() - start, _peak_gib()
    sets.save(built, lake, "bench")
    figures = {"set_cpu_s": time.process_time() - start, "peak_gib": _peak_gib(), "set_gib": built.table.nbytes / 2**30}
    figures |= {"build_cpu_s": built_cpu, "build_peak_gib": at_build, "join_cpu_s": join_cpu_s(built.table, lake)}
    print(json.dumps(figures))


def join_cpu_s(table: pa.Table, lake: str) -> float:
    """Return the CPU seconds of the join alone."""
    from mlops_assets.features.join import point_in_time_join
    from mlops_assets.features.vectors import open_views
    from mlops_assets.lake.engine import connect

    with connect() as con:
        views = [view.joined for view in open_views(con, lake, definition())]
        spine = table.select(["prediction_time", "customer", "shop"])
        start = time.process_time()
        point_in_time_join(con, spine, views)
        return time.process_time() - start


def definition() -> VectorDefinition:
    """Return a model with five views, three of a number and two of a text."""
    specs = [
        view_spec(f"view{n}", ("customer", "shop")[n % 2], [f"v{n}_{i}" for i in range(FEATURES)], ttl_days=30)
        for n in range(VIEWS)
    ]
    spine = {"sources": {"asks": "bench/asks"}, "sql": SPINE_SQL, "keys": ["id"], "label_timeout_days": 1}
    return VectorDefinition(
        spine=SpineSpec.model_validate(spine),
        spine_sql=SPINE_SQL,
        views=tuple(View(spec, spec.sql) for spec in specs),
        features=tuple(f"{spec.name}:{name}" for spec in specs for name in spec.features),
        request=Request(("amount",)),
        window_column="prediction_time",
    )


def _people(numbers: np.ndarray) -> dict[str, pa.Array]:
    return {"customer": pa.array(numbers), "shop": pa.array(np.char.add("shop-", (numbers % 100_000).astype("U6")))}


def _times(seconds: np.ndarray) -> pa.Array:
    start = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
    return pa.array((start + seconds) * 1_000_000, pa.int64()).cast(TIME)


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]))
    else:
        build(sys.argv[2])
